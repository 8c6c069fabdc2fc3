/* The builder that a layer's build(), an op's infer(), lower() and gradient() are handed. Errors
 * are sticky. */
#ifndef WEFT_GRAPH_BUILD_H
#define WEFT_GRAPH_BUILD_H
#include "graph/graph.h"

typedef struct weft__build weft__build;
/* What needs a model; NULL entries answer with a clear error. The model room fills it. */
typedef struct weft__build_hooks {
    weft_val (*layer)(weft__build *, const char *layer_class, const char *name, const char *attrs,
                      const weft_val *args, uint32_t n, weft_val *outs, uint32_t n_outs);
    weft_val (*variable)(weft__build *, const char *name, const weft_spec *,
                         const char *initializer, uint32_t flags);
    int (*training)(weft__build *);
    int (*trainable)(weft__build *);
    weft_val (*mask)(weft__build *, uint32_t i);
    weft_status (*set_mask)(weft__build *, uint32_t out, weft_val);
    weft_status (*random)(weft__build *, weft_val stream[2]); /* of the outermost graph */
    weft_status (*add_loss)(weft__build *, weft_val);         /* the same */
} weft__build_hooks;

struct weft__build {
    weft_build base;    /* first: what plugins see */
    weft__graph *graph; /* where ops go: home, or the body of a loop that is being traced */
    weft__graph *home;  /* of in and out */
    const weft__attrs *attrs;
    const char *path, *what; /* of the layer; "layer class Dense", "op conv" for errors */
    const weft_val *in;
    uint32_t n_in;
    const weft_val *fwd, *dout; /* gradient(): n_fwd results and their gradients; NULL elsewhere */
    uint32_t n_fwd;
    weft_val *out; /* owned, set by out() */
    uint32_t n_out, cap_out;
    /* infer(): specs of inputs that are no values yet; in(i) gives i + 1; dtype 0 = absent */
    const weft_spec *infer_in;
    weft_status status; /* the first failure */
    const weft__build_hooks *hooks;
    void *user;  /* of the hooks */
    char **kept; /* strings that attr_s made */
    size_t n_kept, cap_kept;
};
typedef struct weft__build_setup {
    weft__graph *graph;
    const weft__attrs *attrs;
    const char *path, *what;
    const weft_val *in;
    uint32_t n_in;
    const weft__build_hooks *hooks;
    void *user;
    const weft_spec *infer_in;  /* instead of in: only specs and attributes can be read */
    const weft_val *fwd, *dout; /* for gradient(): out(i) is then the gradient of input i */
    uint32_t n_fwd;
} weft__build_setup;
/* The setup's pointers are borrowed until finish. */
weft_status weft__build_init(weft__build *build, const weft__build_setup *setup);
/* Runs fn; checks that n_out results were set (n_out 0: any number). In gradient() out(i) may be
 * left out, out[i] is 0 then, and n_out is the number of inputs. The failure, if any, is recorded
 * and returned. */
weft_status weft__build_run(weft__build *build, weft_status (*fn)(weft_build *), uint32_t n_out);
void weft__build_finish(weft__build *build);

/* Handles are what plugins hold: a value's number and the tag of its graph. Handles of values of
 * the outermost graph are their numbers. */
weft_val weft__build_give(const weft__graph *graph, weft_val value);
/* The value of build->graph that the handle means; what lies around a body is captured. 0 and
 * WEFT_NONE stay; what is no handle at all is an error. */
weft_status weft__build_take(weft__build *build, weft_val handle, weft_val *value);
/* scan() of the builder. */
weft_status weft__build_scan(weft__build *build, const weft_scan *scan);

/* An attribute of LAYER_CONFIG type read with attr_s gives its canonical text, "relu" or
 * "LeakyReLU(negative_slope=0.1)"; layer(class = that text) accepts it. */

/* "x, w, b?", "x...": least and most inputs (UINT32_MAX = no limit). */
void weft__arity(const char *inputs, uint32_t *least, uint32_t *most);
#endif
