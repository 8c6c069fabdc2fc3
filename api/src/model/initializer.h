/* Keras's initializers by text: "zeros", "GlorotUniform", "random_normal(mean=0.0 stddev=0.05)". */
#ifndef WEFT_MODEL_INITIALIZER_H
#define WEFT_MODEL_INITIALIZER_H
#include <weft/plugin.h>

/* Is the text an initializer that can make a variable of this spec? Errors list what there is. */
weft_status weft__initializer_check(const char *text, const weft_spec *spec);
/* Fills data (dense, of spec). stream names the random stream, usually the variable's path: the
 * same seed and stream give the same numbers; an initializer with a seed of its own uses that
 * alone, as Keras does. */
typedef struct weft__initializer_request {
    const char *text, *stream;
    const weft_spec *spec;
    uint64_t seed;
} weft__initializer_request;
weft_status weft__initializer_run(const weft__initializer_request *request, void *data);
#endif
