/* host->parallel_for: a context's helper threads. */
#ifndef WEFT_REGISTRY_PARALLEL_H
#define WEFT_REGISTRY_PARALLEL_H
#include <weft/plugin.h>

typedef struct weft__pool weft__pool;

/* threads: the caller and its helpers together; 0 = one for each processor that this process may
 * use. Helpers start with the first work that is worth them. */
weft_status weft__pool_create(uint32_t threads, weft__pool **pool);
void weft__pool_destroy(weft__pool **pool); /* no work is under way */

/* fn over [0, n) in pieces of at least grain; any thread. One caller at a time is helped: another
 * one, and one inside a piece, works alone. What fn records as a failure in a helper moves to the
 * caller's record. */
void weft__parallel_for(weft__pool *pool, uint64_t n, uint64_t grain,
                        void (*fn)(void *, uint64_t, uint64_t), void *user);
#endif
