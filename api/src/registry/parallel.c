/* host->parallel_for: OpenMP, used here alone in the core. A worker's error record belongs to the
 * worker, so the first failure is carried to the caller at the join. */
#include "registry/parallel.h"
#include <omp.h>
#include <pthread.h>
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"

typedef struct region {
    pthread_mutex_t mutex;
    pthread_t caller;
    weft_status status; /* of the first failure in another thread */
    char *text;
} region;

static void keep_failure(region *r)
{
    pthread_mutex_lock(&r->mutex);
    if (!r->status) {
        size_t n = strlen(weft_error()) + 1;
        r->status = weft__fail_status();
        r->text = weft__raw_alloc(n);
        if (r->text) memcpy(r->text, weft_error(), n);
    }
    pthread_mutex_unlock(&r->mutex);
}

void weft__parallel_for(int threads, uint64_t n, uint64_t grain,
                        void (*fn)(void *, uint64_t, uint64_t), void *user)
{
    uint64_t pieces = n / (grain ? grain : 1),
             most = (uint64_t)(threads > 0 ? threads : omp_get_max_threads());
    if (pieces > most) pieces = most;
    if (pieces <= 1 || omp_in_parallel()) {
        if (n) fn(user, 0, n);
        return;
    }
    region r = { .mutex = PTHREAD_MUTEX_INITIALIZER, .caller = pthread_self() };
#pragma omp parallel for num_threads((int)pieces) schedule(static, 1)
    for (uint64_t i = 0; i < pieces; i++) {
        uint64_t before = weft__fail_count(), share = n / pieces, rest = n % pieces;
        uint64_t begin = i * share + (i < rest ? i : rest);
        fn(user, begin, begin + share + (i < rest));
        if (weft__fail_count() != before && !pthread_equal(r.caller, pthread_self()))
            keep_failure(&r);
    }
    /* Through weft_fail: the caller knows where the work was, the worker did not. */
    if (r.status) weft_fail(r.status, "%s", r.text ? r.text : "out of memory");
    weft__raw_free(r.text);
    pthread_mutex_destroy(&r.mutex);
}
