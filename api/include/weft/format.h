/* weft/format.h - what a file format plugin provides. It builds and reads models through this
 * table, so that it imports no symbol of the library; the public model functions wrap the same
 * table. */
#ifndef WEFT_FORMAT_H
#define WEFT_FORMAT_H
#include <weft/plugin.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct weft_model weft_model;
typedef uint32_t weft_layer_id,
    weft_tensor_id; /* 0 = failed already; ids count from 1 in creation order */

/* A note of a model: how it was last trained, the attribute text of weft_session_compile(),
 * "optimizer=adam loss=mse", which set_note() brings into canonical form: attributes separated by
 * one blank, lists in parentheses, no blanks elsewhere, floats with a point or an exponent. Formats
 * keep it in their own form (compile_config of Keras). */
#define WEFT_NOTE_COMPILE "compile"

/* What a tensor is: an input, a constant (with data, dense), or result `index` of call `call` of
 * `layer`. */
enum { WEFT_TENSOR_INPUT = 1, WEFT_TENSOR_CONSTANT, WEFT_TENSOR_RESULT };
typedef struct weft_tensor_info {
    uint32_t struct_size, kind;
    const char *name; /* of an input or a constant; else NULL */
    const void *data;
    weft_spec spec;
    weft_layer_id layer;
    uint32_t call, index, reserved;
} weft_tensor_info;
typedef struct weft_call_info {
    uint32_t struct_size, n_in, n_out;
    weft_tensor_id first;     /* results are first .. first + n_out - 1 */
    const weft_tensor_id *in; /* WEFT_NONE = an optional input that is absent */
    const char *attrs;        /* "", "training=false" */
} weft_call_info;

/* layer(): name NULL = by class. call(): in may hold WEFT_NONE; call_attrs NULL or
 * "training=false", others are collected as missing(). submodel() returns NULL on failure, which
 * finish() of the parent tells. [build] one thread a model. Functions that return an id are sticky:
 * 0 in, 0 out, the first failure is kept and returned by finish(). Strings that are returned live
 * as long as the model. */
typedef struct weft_model_api {
    uint32_t struct_size, reserved;
    const weft_host *host;
    /* building */
    weft_model *(*submodel)(
        weft_model *, const char *name); /* a nested model, owned by its parent; finish() it */
    weft_status (*rename)(weft_model *, const char *name); /* the model itself */
    weft_status (*set_kind)(weft_model *,
                            const char *kind); /* "Functional" (the default) or "Sequential" */
    weft_tensor_id (*input)(weft_model *, const char *name,
                            const weft_spec *); /* dim 0 usually WEFT_BATCH */
    weft_tensor_id (*constant)(weft_model *, const char *name, const weft_spec *, const void *data);
    const weft_layer_class *(*layer_class)(
        weft_model *, const char *name); /* NULL = no plugin has it; no error */
    weft_layer_id (*layer)(weft_model *, const char *layer_class, const char *name,
                           const char *attrs);
    weft_layer_id (*model_layer)(weft_model *, weft_model *submodel,
                                 const char *name); /* a whole model as a layer */
    weft_tensor_id (*call)(weft_model *, weft_layer_id, const weft_tensor_id *in, uint32_t n_in,
                           const char *call_attrs);
    weft_tensor_id (*result)(weft_model *, weft_layer_id, uint32_t call, uint32_t index);
    weft_status (*output)(weft_model *, const char *name, weft_tensor_id);
    weft_status (*set_note)(weft_model *, const char *key,
                            const char *text); /* travels with the model; see WEFT_NOTE_COMPILE */
    weft_status (*missing)(weft_model *, const char *layer_class, const char *layer,
                           const char *why); /* collected, reported together by finish() */
    weft_status (*finish)(weft_model *);
    weft_status (*fail)(weft_model *, weft_status, const char *msg);
    /* Reading, for weights and for writers. Inputs are no layers here: ids are of layers and models
     * as layers, 1 .. n_layers in creation order. attrs: canonical text, complete, with
     * trainable=false if it is frozen. A layer's variables: trainable ones first, then the others,
     * each in creation order; "cell/kernel" is that of a layer inside. Values: dense, of the
     * variable's dtype, exactly its bytes. */
    uint32_t (*n_layers)(const weft_model *);
    weft_status (*layer_info)(const weft_model *, weft_layer_id, const weft_layer_class **,
                              const char **name, const char **attrs, weft_model **submodel,
                              uint32_t *n_calls); /* any may be NULL */
    uint32_t (*n_variables)(const weft_model *,
                            weft_layer_id); /* of the layer itself and of layers inside it */
    weft_status (*variable_spec)(const weft_model *, weft_layer_id, uint32_t i, const char **name,
                                 weft_spec *, uint32_t *flags);
    weft_status (*variable_get)(const weft_model *, weft_layer_id, uint32_t i, void *data,
                                size_t bytes);
    weft_status (*variable_set)(weft_model *, weft_layer_id, uint32_t i, const void *data,
                                size_t bytes);
    /* structure, for writers */
    const char *(*name)(const weft_model *);
    const char *(*kind)(const weft_model *);
    const char *(*note)(const weft_model *, const char *key); /* NULL if there is none */
    uint32_t (*n_inputs)(const weft_model *);
    weft_tensor_id (*input_at)(const weft_model *, uint32_t i); /* 0 past the end, as below */
    uint32_t (*n_outputs)(const weft_model *);
    weft_tensor_id (*output_at)(const weft_model *, uint32_t i, const char **name);
    weft_status (*tensor_info)(const weft_model *, weft_tensor_id,
                               weft_tensor_info *); /* set struct_size */
    weft_status (*call_info)(const weft_model *, weft_layer_id, uint32_t call, weft_call_info *);
    /* Layers that the outputs need, in the order of Keras's model.layers, without its InputLayers:
     * weight files number layers by it. Returns how many there are, writes at most cap. A finished
     * model only. */
    uint32_t (*order)(const weft_model *, weft_layer_id *ids, uint32_t cap);
    const void *(*extension)(weft_model *, const char *id);
} weft_model_api;

/* write(): path is an empty file in the folder of the one that the user named. The writer fills or
 * replaces it; the library then makes it last and puts it in the place of the old file, or removes
 * it after a failure. So error texts need no path: the library adds the one that the user gave. */
typedef struct weft_format {
    uint32_t struct_size, flags;
    const char *name, *extensions, *doc;                        /* "keras", ".keras" */
    int (*probe)(const void *head, size_t n, const char *path); /* how sure, 0..100 */
    weft_status (*read)(const weft_model_api *, weft_model *, const char *path,
                        const char *options);
    weft_status (*write)(const weft_model_api *, const weft_model *, const char *path,
                         const char *options); /* NULL = cannot */
} weft_format;

#ifdef __cplusplus
}
#endif
#endif
