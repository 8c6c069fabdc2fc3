/* host->parallel_for. The caller takes pieces like its helpers do, and at the end waits only for
 * pieces that a helper has begun: one that a busy machine has not woken in time finds nothing left,
 * and nobody has waited for it. With a barrier, as OpenMP has it, every small loop of a network may
 * cost a time slice there. A helper's error record belongs to the helper, so the first failure is
 * carried to the caller at the end. */
#define _GNU_SOURCE
#include "registry/parallel.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/fail.h"

enum {
    PIECES_OF_A_THREAD = 4, /* a helper that loses its processor holds up little */
    PATIENCE_NS = 50000     /* for what may come at once; then sleep */
};

typedef struct work {
    void (*fn)(void *, uint64_t, uint64_t);
    void *user;
    uint64_t n, pieces;
    atomic_uint_fast64_t next; /* piece */
    weft_status status;        /* of the first failure in a helper; under the pool's mutex */
    char *text;
} work;

struct weft__pool {
    pthread_mutex_t busy;  /* held by the caller that is being helped */
    pthread_mutex_t mutex; /* of all below that is no constant */
    pthread_cond_t begun, left;
    work *work;          /* NULL = none */
    uint32_t wanted;     /* helpers that may still join it */
    atomic_uint inside;  /* helpers that are at it */
    atomic_uint counter; /* of works */
    uint32_t most, started;
    int stop, full; /* full: the system gives no more threads */
    pid_t owner;    /* a fork has no helpers, and its copy of the mutex may be held by one */
    pthread_t helper[];
};

static uint32_t processors(void)
{
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) ? sysconf(_SC_NPROCESSORS_ONLN)
                                                    : (long)CPU_COUNT(&set);
    return n > 0 ? (uint32_t)n : 1;
}

static void keep_failure(weft__pool *p, work *w)
{
    pthread_mutex_lock(&p->mutex);
    if (!w->status) {
        size_t n = strlen(weft_error()) + 1;
        w->status = weft__fail_status();
        w->text = weft__raw_alloc(n);
        if (w->text) memcpy(w->text, weft_error(), n);
    }
    pthread_mutex_unlock(&p->mutex);
}

static void run_pieces(weft__pool *p, work *w, int helping)
{
    uint64_t share = w->n / w->pieces, rest = w->n % w->pieces, i;
    while ((i = atomic_fetch_add(&w->next, 1)) < w->pieces) {
        uint64_t before = weft__fail_count(), begin = i * share + (i < rest ? i : rest);
        w->fn(w->user, begin, begin + share + (i < rest));
        if (helping && weft__fail_count() != before) keep_failure(p, w);
    }
}

/* Until the number is another one, for a while; without the mutex. */
static void look_out(const atomic_uint *number, unsigned old)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (atomic_load(number) == old) {
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec > PATIENCE_NS)
            return;
    }
}

/* 0: the pool is destroyed. With the mutex. */
static int await_work(weft__pool *p)
{
    if (!p->wanted && !p->stop) {
        unsigned counter = atomic_load(&p->counter);
        pthread_mutex_unlock(&p->mutex);
        look_out(&p->counter, counter);
        pthread_mutex_lock(&p->mutex);
    }
    while (!p->wanted && !p->stop)
        pthread_cond_wait(&p->begun, &p->mutex);
    return !p->stop;
}

static void *help(void *user)
{
    weft__pool *p = user;
    pthread_mutex_lock(&p->mutex);
    while (await_work(p)) {
        work *w = p->work; /* stays as long as somebody is inside */
        p->wanted--;
        atomic_fetch_add(&p->inside, 1);
        pthread_mutex_unlock(&p->mutex);
        run_pieces(p, w, 1);
        pthread_mutex_lock(&p->mutex);
        p->wanted = 0; /* all pieces are taken */
        if (atomic_fetch_sub(&p->inside, 1) == 1) pthread_cond_signal(&p->left);
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

/* Helpers leave the program's signals to its own threads. With the mutex. */
static void start_helpers(weft__pool *p, uint32_t n)
{
    sigset_t all, before;
    if (p->started >= n || p->full) return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (p->started < n && !p->full) {
        if (pthread_create(&p->helper[p->started], NULL, help, p))
            p->full = 1;
        else
            p->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void offer(weft__pool *p, work *w)
{
    uint32_t helpers = w->pieces - 1 < p->most ? (uint32_t)(w->pieces - 1) : p->most;
    pthread_mutex_lock(&p->mutex);
    start_helpers(p, helpers);
    p->work = w;
    p->wanted = helpers;
    atomic_fetch_add(&p->counter, 1);
    for (uint32_t i = 0; i < helpers; i++)
        pthread_cond_signal(&p->begun);
    pthread_mutex_unlock(&p->mutex);
}

static void close_work(weft__pool *p)
{
    unsigned inside;
    pthread_mutex_lock(&p->mutex);
    p->work = NULL;
    p->wanted = 0;
    while ((inside = atomic_load(&p->inside)) != 0) {
        pthread_mutex_unlock(&p->mutex);
        look_out(&p->inside, inside);
        pthread_mutex_lock(&p->mutex);
        if (atomic_load(&p->inside) == inside) pthread_cond_wait(&p->left, &p->mutex);
    }
    pthread_mutex_unlock(&p->mutex);
}

void weft__parallel_for(weft__pool *pool, uint64_t n, uint64_t grain,
                        void (*fn)(void *, uint64_t, uint64_t), void *user)
{
    uint64_t pieces = n / (grain ? grain : 1), most = (uint64_t)PIECES_OF_A_THREAD * pool->most;
    if (pieces > most + PIECES_OF_A_THREAD) pieces = most + PIECES_OF_A_THREAD;
    if (pieces <= 1 || !pool->most || pool->owner != getpid() ||
        pthread_mutex_trylock(&pool->busy)) {
        if (n) fn(user, 0, n);
        return;
    }
    work w = { .fn = fn, .user = user, .n = n, .pieces = pieces };
    offer(pool, &w);
    run_pieces(pool, &w, 0);
    close_work(pool);
    pthread_mutex_unlock(&pool->busy);
    /* Through weft_fail: the caller knows where the work was, the helper did not. */
    if (w.status) weft_fail(w.status, "%s", w.text ? w.text : "out of memory");
    weft__raw_free(w.text);
}

weft_status weft__pool_create(uint32_t threads, weft__pool **pool)
{
    uint32_t most = (threads ? threads : processors()) - 1;
    weft__pool *p = weft__alloc(sizeof *p + most * sizeof *p->helper);
    *pool = NULL;
    if (!p) return WEFT_E_NOMEM;
    p->most = most;
    p->owner = getpid();
    pthread_mutex_init(&p->busy, NULL); /* Linux: these four do not fail */
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->begun, NULL);
    pthread_cond_init(&p->left, NULL);
    *pool = p;
    return WEFT_OK;
}

void weft__pool_destroy(weft__pool **pool)
{
    weft__pool *p = *pool;
    *pool = NULL;
    if (p && p->owner == getpid()) {
        pthread_mutex_lock(&p->mutex);
        p->stop = 1;
        pthread_cond_broadcast(&p->begun);
        pthread_mutex_unlock(&p->mutex);
        for (uint32_t i = 0; i < p->started; i++)
            pthread_join(p->helper[i], NULL);
        pthread_cond_destroy(&p->left);
        pthread_cond_destroy(&p->begun);
        pthread_mutex_destroy(&p->mutex);
        pthread_mutex_destroy(&p->busy);
    }
    weft__free(p);
}
