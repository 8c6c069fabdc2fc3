/* Counter-based random numbers: the value at an index depends on the key and the index alone. */
#ifndef WEFT_MODEL_RANDOM_H
#define WEFT_MODEL_RANDOM_H
#include <stdint.h>

/* Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). */
void weft__philox(uint64_t key, const uint32_t counter[4], uint32_t result[4]);
/* The key of a stream: of a name (a variable's path) under a seed. */
uint64_t weft__stream_key(uint64_t seed, const char *name);
/* Number i of the stream. uniform: [0, 1), 24 bits. normal: mean 0, deviation 1 (Box-Muller, IEEE
 * double). truncated: a normal redrawn while it is 2 or more away from 0. */
double weft__random_uniform(uint64_t key, uint64_t i);
double weft__random_normal(uint64_t key, uint64_t i);
double weft__random_truncated(uint64_t key, uint64_t i);
#endif
