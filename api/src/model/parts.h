/* The model room from inside: the structures that its files share. A body is a layer as such
 * (class, attributes, variables); a weft__layer is its place in one model. Derived models share
 * bodies. */
#ifndef WEFT_MODEL_PARTS_H
#define WEFT_MODEL_PARTS_H
#include <pthread.h>
#include <stdatomic.h>
#include "model/model.h"
#include "model/names.h"

enum { WEFT__MAX_DEPTH = 64 }; /* of models in models, and of layers in layers */
#define WEFT__MAX_CALLS \
    100000u /* layer calls of a model, those inside submodels counted each time */

/* The lock and the generation of all variables that were made in one model; shared with whoever
 * uses them. */
typedef struct weft__store {
    atomic_uint refs;
    pthread_rwlock_t lock;
    atomic_uint_least64_t generation;
    uint64_t seed;        /* of initializers and random streams */
    weft__variable *step; /* i64: counts the runs that drew random numbers */
    weft__holder holder;  /* who has newer values than the variables' data; under holder_lock */
    pthread_mutex_t holder_lock;
} weft__store;
weft_status weft__store_create(weft__store **store);
weft__store *weft__store_ref(weft__store *store);
void weft__store_destroy(weft__store **store); /* drops a reference */

typedef struct weft__body {
    atomic_uint refs;
    const weft_layer_class *cls; /* NULL for a model */
    weft_model *sub;             /* a reference; NULL for a class */
    weft__attrs *attrs;          /* checked, complete */
    char *text;                  /* canonical, complete */
    char *name;                  /* where it was made: variables' paths begin with it */
    weft__variable **variable;
    size_t n_variables, cap_variables; /* creation order */
    weft__store *store;                /* a reference */
    int built, frozen;                 /* called once; trainable=false */
    int compiled_frozen;               /* when a session was compiled for training */
} weft__body;

typedef struct weft__call {
    uint32_t *in;
    uint32_t n_in;         /* tensor ids; WEFT_NONE = absent */
    uint32_t first, n_out; /* tensors first .. first + n_out - 1 are its results */
    int inference;         /* called with training=false */
} weft__call;
typedef struct weft__layer {
    char *name;
    weft__body *body;
    weft__call *call;
    size_t n_calls, cap_calls;
} weft__layer;

typedef enum { WEFT__T_INPUT = 1, WEFT__T_CONST, WEFT__T_RESULT } weft__tkind;
typedef struct weft__tensor {
    weft__tkind kind;
    char *name; /* INPUT, CONST */
    weft_spec spec;
    uint32_t layer, call, index; /* RESULT: layer id, call, which result */
    void *data;                  /* CONST */
    int masked;
    weft_spec mask; /* the spec of its mask, if it has one */
} weft__tensor;

typedef struct weft__call_ref {
    uint32_t layer, call;
} weft__call_ref; /* layer id, number of the call */
typedef struct weft__output {
    char *name;
    uint32_t tensor;
} weft__output;
typedef struct weft__note {
    char *key, *text;
} weft__note;
/* One of Keras's model.layers: an input (its position) or a layer (its id). */
typedef struct weft__place {
    int is_input;
    uint32_t index;
} weft__place;

struct weft_model {
    atomic_uint refs;
    uint32_t number, base, base_tensors,
        base_layers;    /* base: number of the model that it derives from */
    weft_context *ctx;  /* a reference */
    weft_model_api api; /* for formats, with the context's host */
    weft_model *next,
        *parent;       /* list of all models; whose submodel it is (borrowed, for `missing`) */
    char *name, *kind; /* kind: "Functional", "Sequential" */
    weft_status status;
    char *text;            /* the first failure */
    int finished, loading; /* loading: a format fills the variables, finish() leaves them empty */
    int hollow;            /* a layer inside is missing: reported by the root's finish() */
    weft__store *store;
    weft__tensor *tensor;
    size_t n_tensors, cap_tensors; /* id i is tensor[i - 1] */
    weft__layer *layer;
    size_t n_layers, cap_layers; /* id i is layer[i - 1] */
    weft__call_ref *call;
    size_t n_calls, cap_calls; /* creation order: topological */
    uint32_t *input;
    size_t n_inputs, cap_inputs; /* tensor ids */
    weft__output *output;
    size_t n_outputs, cap_outputs;
    weft_model **part;
    size_t n_parts, cap_parts; /* submodels that a format made; references */
    weft__note *note;
    size_t n_notes, cap_notes;
    weft__names names, counters; /* of inputs and layers */
    weft__names outputs, output_counters;
    weft__text missing;
    uint32_t n_missing;
    int missing_advice; /* which ways out to name */
    uint64_t size;
    unsigned depth; /* calls when inlined; models inside models */
    /* made by finish() */
    unsigned char *used; /* call[i] is needed for an output */
    uint32_t *run;       /* the calls that are, in the order in which Keras runs them */
    size_t n_run;
    weft__place *place;
    size_t n_places;
    int sequential; /* summary without the column "Connected to" */
    weft__variable **variable;
    char **variable_name;
    size_t n_variables; /* "encoder/dense/kernel" */
    weft__store **stores;
    size_t n_stores; /* of all variables, sorted by address; references */
};

/* The first failure is kept; returns it. The record holds the text of `status`. */
weft_status weft__model_fail(weft_model *model, weft_status status);
/* 1 = more may be added; else records why not (a finished model), or is silent (failed already). */
int weft__model_open(weft_model *model);
weft_model *weft__model_root(weft_model *model);
weft__tensor *weft__tensor_at(const weft_model *model, uint32_t id); /* NULL if there is none */
weft__layer *weft__layer_at(const weft_model *model, uint32_t id);
/* A new tensor; takes t->name and t->data, also when it fails. Returns the id or 0. */
uint32_t weft__model_add_tensor(weft_model *model, weft__tensor *t);
/* Ids of handles: checks that they are this model's. 0 = failed, recorded in the model. */
uint32_t weft__tensor_id(weft_model *model, weft_tensor tensor, const char *what);
uint32_t weft__layer_id(weft_model *model, weft_layer layer);
uint32_t weft__model_add_input(weft_model *model, const char *name, const weft_spec *spec);
uint32_t weft__model_add_constant(weft_model *model, const char *name, const weft_spec *spec,
                                  const void *data);
weft_status weft__model_add_output(weft_model *model, const char *name, uint32_t tensor);
weft_status weft__spec_check(const weft_spec *spec, const char *what);
uint64_t weft__spec_bytes(const weft_spec *spec); /* of numbers only; UINT64_MAX on overflow */
/* `"conv2d" (Conv2D)`: who makes this tensor. */
void weft__producer_print(weft__text *text, const weft_model *model, uint32_t tensor);
const char *weft__layer_class_name(
    const weft__layer *layer); /* "Dense"; "Functional" for a model */

/* Layers. name NULL: by class. Return the id or 0. */
uint32_t weft__model_add_layer(weft_model *model, const char *cls, const char *name,
                               const char *attrs);
uint32_t weft__model_add_sublayer(weft_model *model, weft_model *sub, const char *name);
weft_status weft__body_create(weft_model *model, const char *name, weft__body **body);
weft__body *weft__body_ref(weft__body *body);
void weft__body_destroy(weft__body **body); /* drops a reference */
void weft__layer_finish(weft__layer *layer);
weft_status weft__body_freeze(weft__body *body, int frozen);
/* Checked attributes of a class; takes out name (may be NULL = refused) and trainable. */
typedef struct weft__layer_attrs {
    weft__attrs *attrs;
    char *name;
    int frozen;
} weft__layer_attrs;
weft_status weft__layer_attrs_make(const weft_layer_class *cls, const char *text,
                                   weft__layer_attrs *res);
void weft__layer_attrs_finish(weft__layer_attrs *attrs);
/* Calls a layer; the first result's id or 0. in: tensor ids or WEFT_NONE. */
typedef struct weft__call_request {
    uint32_t layer;
    const uint32_t *in;
    uint32_t n_in;
    int inference;
} weft__call_request;
uint32_t weft__model_add_call(weft_model *model, const weft__call_request *request);
weft_status weft__arity_check(const weft_layer_class *cls, const char *name, uint32_t n_in);

/* Variables. */
typedef struct weft__variable_request {
    const char *path, *name, *initializer;
    const weft_spec *spec;
    uint32_t flags;
} weft__variable_request;
weft_status weft__variable_create(weft__store *store, const weft__variable_request *request,
                                  weft__variable **variable);
void weft__variable_destroy(weft__variable **variable);
weft_status weft__variable_ready(
    weft__variable *variable); /* initializes it if it has no data yet */
weft_status weft__variable_reset(weft__variable *variable); /* initializes it again */
/* Variables of a layer, trainable first; NULL past the end. name (may be NULL): within the layer,
 * borrowed. */
weft__variable *weft__layer_variable(const weft__layer *layer, uint32_t i, const char **name);
uint32_t weft__layer_n_variables(const weft__layer *layer);

/* finish(), in pieces. */
weft_status weft__order_make(weft_model *model); /* used, place, sequential */
weft_status weft__model_conclude(weft_model *model);
weft_status weft__model_ready(weft_model *model); /* every variable has data */
weft_status weft__missing_add(weft_model *model, const char *cls, const char *layer,
                              const char *why);

extern const weft_model_api weft__model_api;
#define WEFT__KIND_FUNCTIONAL "Functional"
#define WEFT__KIND_SEQUENTIAL "Sequential"

/* Copies of all variables of a finished model at one moment, which is what this thread's
 * weft__snapshot_read gives between begin and end. After a failure there is nothing to end. */
typedef struct weft__snapshot {
    const weft_model *model;
    void **copy; /* of the model's variables, in its order */
    const struct weft__snapshot *outer;
} weft__snapshot;
weft_status weft__snapshot_begin(const weft_model *model, weft__snapshot *snapshot);
void weft__snapshot_end(weft__snapshot *snapshot);
/* 1: data is the variable's value then; 0: no snapshot has it. */
int weft__snapshot_read(const weft__variable *variable, void *data);
#endif
