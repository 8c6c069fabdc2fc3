/* Threads of the cpu backend: kernels hand over tasks, the host's helpers and the caller take them.
 * BLAS is kept to one thread while Weft runs: the tiles are the tasks, so that gemm, im2col and
 * epilogue of a tile happen in one core's cache, and the numbers do not depend on how many threads
 * there are. */
#define _GNU_SOURCE
#include "cpu.h"
#include <cblas.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#define WORK_OF_A_THREAD 65536u /* simple operations, some 30 us, that outweigh waking a thread */

static pthread_mutex_t blas_mutex = PTHREAD_MUTEX_INITIALIZER;
static uint32_t blas_users;
static int blas_threads; /* what the program had set, given back by the last user */

void cpu_blas_enter(void)
{
    pthread_mutex_lock(&blas_mutex);
    if (blas_users++ == 0) {
        blas_threads = openblas_get_num_threads();
        if (blas_threads != 1) openblas_set_num_threads(1);
    }
    pthread_mutex_unlock(&blas_mutex);
}

void cpu_blas_leave(void)
{
    pthread_mutex_lock(&blas_mutex);
    if (--blas_users == 0 && blas_threads > 1) openblas_set_num_threads(blas_threads);
    pthread_mutex_unlock(&blas_mutex);
}

uint32_t cpu_processors(void)
{
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) ? sysconf(_SC_NPROCESSORS_ONLN)
                                                    : (long)CPU_COUNT(&set);
    return n > 0 ? (uint32_t)n : 1;
}

typedef struct tasks {
    cpu_task *task;
    void *user;
    uint64_t n;
    atomic_uint_fast64_t next;
} tasks;

/* Each number is in one thread at a time: it is the tasks' `thread`. */
static void take_tasks(void *user, uint64_t first, uint64_t last)
{
    tasks *t = user;
    for (uint64_t thread = first; thread < last; thread++) {
        for (uint64_t i; (i = atomic_fetch_add(&t->next, 1)) < t->n;)
            t->task(t->user, i, (uint32_t)thread);
    }
}

void cpu_parallel(const weft_kernel_call *call, uint64_t work, uint64_t n, cpu_task *task,
                  void *user)
{
    const weft_dev *dev = cpu_node_of(call)->dev;
    uint64_t threads = work / WORK_OF_A_THREAD;
    tasks t = { .task = task, .user = user, .n = n };
    if (threads > dev->threads) threads = dev->threads;
    if (threads > n) threads = n;
    if (threads > 1)
        dev->host->parallel_for(dev->host, threads, 1, take_tasks, &t);
    else
        take_tasks(&t, 0, 1);
}
