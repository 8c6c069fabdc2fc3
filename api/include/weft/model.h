/* weft/model.h - a named graph of layer calls with symbolic inputs and outputs, and its variables.
 */
#ifndef WEFT_MODEL_H
#define WEFT_MODEL_H
#include <stdio.h>
#include <weft/array.h>
#include <weft/context.h>
#include <weft/format.h>
#ifdef __cplusplus
extern "C" {
#endif
/* A symbolic value of one model. { 0, 0 } is "failed already": it flows through, and
 * weft_model_finish() reports the first failure. */
typedef struct weft_tensor {
    uint32_t id, model;
} weft_tensor;
/* A layer of one model, for layers that are called more than once. { 0, 0 } as above. */
typedef struct weft_layer {
    uint32_t id, model;
} weft_layer;

/* Threads: a model is built by one thread. Once finished it may be used by sessions in several
 * threads; weft_model_set_variable excludes running sessions itself. */
WEFT_EXPORT weft_status weft_model_create(weft_context *ctx, const char *name, weft_model **model);
/* Drops this reference: a model that is part of another one, or has sessions, lives until they end.
 */
WEFT_EXPORT void weft_model_destroy(weft_model **model);

/* The shape of one sample; the batch is added in front. A dimension may be WEFT_ANY. */
typedef struct weft_shape {
    int32_t rank;
    int64_t dim[WEFT_MAX_RANK];
} weft_shape;
#ifndef __cplusplus
#define WEFT_SHAPE(...)                                                             \
    ((weft_shape){ (int32_t)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), \
                   { __VA_ARGS__ } })
#endif
WEFT_EXPORT weft_tensor weft_input(weft_model *model, const char *name, weft_dtype dtype,
                                   weft_shape shape);
/* The whole shape, batch included: WEFT_BATCH, or a fixed number. */
WEFT_EXPORT weft_tensor weft_input_spec(weft_model *model, const char *name, const weft_spec *spec);
/* A tensor with the array's values, the same in every batch. The data is copied. */
WEFT_EXPORT weft_tensor weft_constant(weft_model *model, const char *name, const weft_array *array);

/* A layer of that class; attrs is attribute text, which may also hold name=...; NULL = defaults. */
WEFT_EXPORT weft_layer weft_layer_create(weft_model *model, const char *layer_class,
                                         const char *attrs);
/* Calls it; shared layers are called several times. Returns the first result. */
WEFT_EXPORT weft_tensor weft_layer_call(weft_model *model, weft_layer layer,
                                        const weft_tensor *inputs, uint32_t n);
/* Result `index` of call `call` (both from 0). */
WEFT_EXPORT weft_tensor weft_layer_result(weft_model *model, weft_layer layer, uint32_t call,
                                          uint32_t index);
/* Creates a layer and calls it once. */
WEFT_EXPORT weft_tensor weft_apply_n(weft_model *model, const char *layer_class, const char *attrs,
                                     const weft_tensor *inputs, uint32_t n);
#ifndef __cplusplus
#define weft_apply(model, layer_class, attrs, ...)                                \
    weft_apply_n((model), (layer_class), (attrs), (weft_tensor[]){ __VA_ARGS__ }, \
                 (uint32_t)(sizeof((weft_tensor[]){ __VA_ARGS__ }) / sizeof(weft_tensor)))
#endif
/* Calls a whole finished model as one layer named `name` (NULL = the model's name); it shares its
 * variables. All results by weft_layer_result() on *layer (may be NULL); returns the first. */
WEFT_EXPORT weft_tensor weft_model_call(weft_model *model, weft_model *sub, const char *name,
                                        const weft_tensor *inputs, uint32_t n, weft_layer *layer);
WEFT_EXPORT weft_status weft_output(weft_model *model, weft_tensor tensor);
WEFT_EXPORT weft_status weft_output_named(weft_model *model, const char *name, weft_tensor tensor);
/* Ends the building: reports the first failure, refuses a model without outputs. */
WEFT_EXPORT weft_status weft_model_finish(weft_model *model);
/* The output of a layer of a finished model, by position as Keras counts model.layers (-1 = the
 * last), for weft_output() of a model that is made from it by weft_model_derive(). */
WEFT_EXPORT weft_tensor weft_model_layer_output(const weft_model *model, int32_t index);
/* A new, unfinished model over the same layers and inputs, without outputs: add them with
 * weft_output(). */
WEFT_EXPORT weft_status weft_model_derive(weft_model *model, const char *name,
                                          weft_model **derived);

/* Reads a file by the format plugin that knows it: by its content, then by its extension. */
WEFT_EXPORT weft_status weft_model_load(weft_context *ctx, const char *path, weft_model **model);
/* Writes a finished model by the format plugin of the path's extension (".keras": a file that
 * Keras 3.15 opens; older ones may not). Layers that no output needs are left out, as Keras does; a
 * layer that is part of two models inside this one becomes two. The old file, if there is one, is
 * replaced when the new one is whole and on the disk, and gives it its permissions; after a failure
 * it is as it was. A link is followed; what is read-only, or no regular file, is refused. The model
 * may be in use by sessions meanwhile: the file has the variables of one moment, of which a copy is
 * made first. */
WEFT_EXPORT weft_status weft_model_save(const weft_model *model, const char *path);
/* Whether weft_model_save() could write there: has the path an extension that a format plugin
 * writes, and can a file be made in its place? Before long work; leaves nothing behind. */
WEFT_EXPORT weft_status weft_model_check_path(weft_context *ctx, const char *path);

WEFT_EXPORT const char *weft_model_name(const weft_model *model);
WEFT_EXPORT uint32_t weft_model_n_inputs(const weft_model *model);
WEFT_EXPORT uint32_t weft_model_n_outputs(const weft_model *model);
/* Name (borrowed) and spec, dim 0 usually WEFT_BATCH; either may be NULL. */
WEFT_EXPORT weft_status weft_model_input(const weft_model *model, uint32_t i, const char **name,
                                         weft_spec *spec);
WEFT_EXPORT weft_status weft_model_output(const weft_model *model, uint32_t i, const char **name,
                                          weft_spec *spec);
/* The spec of any tensor of the model. */
WEFT_EXPORT weft_status weft_tensor_spec(const weft_model *model, weft_tensor tensor,
                                         weft_spec *spec);

/* Variables in the order of the layers; name is a path, "dense_1/kernel". */
WEFT_EXPORT uint32_t weft_model_n_variables(const weft_model *model);
WEFT_EXPORT weft_status weft_model_variable(const weft_model *model, uint32_t i, const char **name,
                                            weft_spec *spec, uint32_t *flags);
/* array: the caller's memory, with the variable's own shape and dtype. */
WEFT_EXPORT weft_status weft_model_get_variable(const weft_model *model, uint32_t i,
                                                weft_array *array);
WEFT_EXPORT weft_status weft_model_set_variable(weft_model *model, uint32_t i,
                                                const weft_array *array);

/* What layers keep from batch to batch, the state of an LSTM with stateful=true, is as at the
 * beginning: sequences that follow are new ones. Also while sessions run the model. */
WEFT_EXPORT weft_status weft_model_reset_state(weft_model *model);

/* Freezes (0) or frees (1) a layer of a finished model by its path, "dense" or "encoder/dense",
 * with all that is inside it; NULL: every layer. Models that share the layer see it too. A session
 * that is compiled trains what it trained before until it is compiled again. */
WEFT_EXPORT weft_status weft_model_set_trainable(weft_model *model, const char *layer,
                                                 int trainable);
/* The seed of initial values and random numbers, 0 until it is set. Before the first layer is
 * called. */
WEFT_EXPORT weft_status weft_model_set_seed(weft_model *model, uint64_t seed);

/* Texts that travel with a model through its file, by a key: WEFT_NOTE_COMPILE, or a format's own.
 * NULL: there is none. Borrowed, until the note is set again; while it is set, nobody else may read
 * notes or save the model. WEFT_NOTE_COMPILE must be attribute text, else WEFT_E_ATTR, and is kept
 * in one spelling: " loss=( mse) loss_weights=.5" becomes "loss=(mse) loss_weights=0.5". What a
 * format cannot hold of it is left out of the file with a warning. */
WEFT_EXPORT const char *weft_model_note(const weft_model *model, const char *key);
WEFT_EXPORT weft_status weft_model_set_note(weft_model *model, const char *key, const char *text);

/* Keras's table, as wide as the COLUMNS setting or 80 columns. */
WEFT_EXPORT weft_status weft_model_summary(const weft_model *model, FILE *file);
#ifdef __cplusplus
}
#endif
#endif
