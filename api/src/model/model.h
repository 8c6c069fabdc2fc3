/* The model from inside: layers, calls, variables; and what the plan room needs of it. */
#ifndef WEFT_MODEL_INTERNAL_H
#define WEFT_MODEL_INTERNAL_H
#include <weft/model.h>
#include "graph/build.h"
#include "graph/graph.h"

/* A named array that the model owns. Values are f32 (or the spec's dtype), dense. */
typedef struct weft__variable {
    char *path; /* "dense_1/kernel" */
    char *name; /* within its layer: "kernel", "cell/bias" */
    weft_spec spec;
    uint32_t flags; /* WEFT_TRAINABLE (not while its layer is frozen), WEFT_STATE */
    char *initializer;
    void *data;          /* never NULL in a finished model that weft_model_finish or _load gave */
    uint64_t generation; /* grows when data is written; read it under the lock */
    uint32_t declared;   /* flags as build() gave them */
    struct weft__store *store; /* lock of the data; borrowed from the layer */
} weft__variable;

/* A session whose runs assign variables holds values that the model's data lacks until they are
 * pulled: by whoever reads them. */
typedef struct weft__holder {
    /* Brings the newer values home, all of them at once; from any thread. */
    weft_status (*pull)(void *user);
    void *user; /* NULL = nobody */
} weft__holder;

weft_context *weft__model_context(const weft_model *model);
weft_model *weft__model_ref(weft_model *model); /* weft_model_destroy drops it */
/* All variables of the model (and of those inside it) at one moment: shared by readers of their
 * data (sessions uploading), exclusive for a session whose values come home. */
void weft__model_read_lock(const weft_model *model);
void weft__model_write_lock(const weft_model *model);
void weft__model_unlock(const weft_model *model);
/* Grows whenever any variable of the model (or of one inside it) is written: a quick "nothing
 * changed". Values that a holder has written come home later than it grows: whoever remembers it
 * reads it before weft__model_pull. */
uint64_t weft__model_generation(const weft_model *model);
/* Variable i of a finished model (the order of weft_model_variable), borrowed; NULL if there is
 * none. */
weft__variable *weft__model_variable_at(const weft_model *model, uint32_t i);
/* Copies the whole value in or out, taking the lock itself: never between lock and unlock. */
weft_status weft__variable_write(weft__variable *variable, const void *data);
weft_status weft__variable_read(weft__variable *variable, void *data);
/* The variable's new value from a device, unless somebody has written it since the generation that
 * the device's value came from. Its generation grows, the model's does not: that did when the
 * device wrote it. *generation: that one; then the new one. 1 if it was done. Under the model's
 * write lock; for a variable of a session's own, under the session's lock. */
int weft__variable_land(weft__variable *variable, const void *data, uint64_t *generation);
/* One holder a model at a time, of all variables in it. */
weft_status weft__model_claim(const weft_model *model, const weft__holder *holder);
void weft__model_release(const weft_model *model, const void *user);
/* A run has assigned variables: the model's generation grows by the result. */
uint64_t weft__model_wrote(const weft_model *model);
/* Values that others hold come home; the holder `user` itself (may be NULL) is not asked. */
weft_status weft__model_pull(const weft_model *model, const void *user);
/* WEFT_E_UNSUPPORTED if a layer has a regularizer that Keras adds to the loss, as Weft does not
 * yet, or, for training, a constraint, which no step applies yet: it names both. */
weft_status weft__model_check_applied(const weft_model *model, int training);
/* What is frozen now is what lowering for a compiled session sees from now on. */
void weft__model_keep_frozen(const weft_model *model);
/* Does output i have a mask? */
int weft__model_masks(const weft_model *model, uint32_t i);

typedef struct weft__added { /* scalars that layers add to the loss; starts as { 0 } */
    weft_val *value;
    size_t n, cap;
} weft__added; /* value: weft__free it */

typedef struct weft__lower_request {
    int training;
    int compiled;       /* layers are frozen as they were at the last weft__model_keep_frozen */
    weft__added *added; /* NULL: they are dropped */
    const weft_spec
        *inputs; /* n_inputs specs: WEFT_ANY replaced by numbers; NULL = as the model has them */
    weft_val *masks; /* takes the outputs' masks, or WEFT_NONE; NULL: nobody wants them */
} weft__lower_request;
/* The model's graph: inputs and outputs in the model's order, variables by weft__variable, node
 * paths by layer. */
weft_status weft__model_lower(const weft_model *model, const weft__lower_request *request,
                              weft__graph **graph);
#endif
