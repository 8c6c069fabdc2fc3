/* Variables that belong to a session and not to its model: optimizer slots, sums of metrics, and
 * the model's trainable variables as one flat array. */
#ifndef WEFT_MODEL_SLOTS_H
#define WEFT_MODEL_SLOTS_H
#include "model/model.h"

typedef struct weft__slots {
    struct weft__store *store; /* the lock of their data */
    weft__variable **variable;
    size_t n, cap;
} weft__slots;
weft_status weft__slots_create(weft__slots **slots);
void weft__slots_destroy(weft__slots **slots);
/* A new variable with its first value; borrowed. */
weft_status weft__slots_add(weft__slots *slots, const char *name, const weft_spec *spec,
                            const char *initializer, weft__variable **variable);

/* The trainable variables of a model, one behind the other. In a graph the pack takes their place:
 * each becomes a view of it, so that the gradient, the optimizer's slots and its update are flat
 * arrays, too, and one op updates all weights. */
typedef struct weft__pack {
    weft__variable *flat;  /* float32 [n]; of the slots */
    weft__variable **part; /* borrowed from the model */
    int64_t *offset;       /* of each, in elements */
    uint64_t *seen;        /* the generation of each part that flat's data has */
    size_t n;
    const weft_model *model; /* borrowed */
} weft__pack;
/* Of what is trainable now. WEFT_E_ARG if nothing is, _DTYPE if one is not float32. */
weft_status weft__pack_create(const weft_model *model, weft__slots *slots, weft__pack **pack);
void weft__pack_destroy(weft__pack **pack);
/* Has somebody written a part since it was gathered? Under the model's read lock. */
int weft__pack_stale(const weft__pack *pack);
/* Parts that were written go into flat's data. Under the model's read lock. */
void weft__pack_gather(weft__pack *pack);
/* flat's data goes into the parts, but for those that somebody has written since. Under the model's
 * write lock. */
void weft__pack_scatter(weft__pack *pack);
/* The graph with views of flat in place of the parts. values (n of them) become those of the new
 * graph. */
weft_status weft__pack_apply(const weft__pack *pack, const weft__graph *graph, weft_val *values,
                             size_t n, weft__graph **result);
#endif
