/* host->parallel_for. */
#ifndef WEFT_REGISTRY_PARALLEL_H
#define WEFT_REGISTRY_PARALLEL_H
#include <weft/plugin.h>
/* fn over [0, n) in pieces of at least grain, by at most `threads` threads (0 = as many as OpenMP
 * wants). What fn records as a failure in another thread moves to the caller's record. */
void weft__parallel_for(int threads, uint64_t n, uint64_t grain,
                        void (*fn)(void *, uint64_t, uint64_t), void *user);
#endif
