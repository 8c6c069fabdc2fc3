/* Threads of the cpu backend. OpenMP is used here alone; kernels hand over tasks. BLAS is kept to
 * one thread while Weft runs: the tiles are the tasks, so that gemm, im2col and epilogue of a tile
 * happen in one core's cache, and the numbers do not depend on how many threads there are. */
#include "cpu.h"
#include <cblas.h>
#include <omp.h>
#include <pthread.h>

#define WORK_OF_A_THREAD 16384u /* simple operations that outweigh waking a thread */

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
    int n = omp_get_max_threads(); /* the affinity mask and OMP_NUM_THREADS are in it */
    return n > 0 ? (uint32_t)n : 1;
}

uint32_t cpu_threads(const weft_kernel_call *call, uint64_t work)
{
    uint64_t worth = work / WORK_OF_A_THREAD, most = cpu_node_of(call)->dev->threads;
    return worth < 1 ? 1 : (uint32_t)(worth < most ? worth : most);
}

void cpu_parallel(uint32_t threads, uint64_t n, cpu_task *task, void *user)
{
    if (threads > n) threads = (uint32_t)n;
    if (threads <= 1) {
        for (uint64_t i = 0; i < n; i++)
            task(user, i, 0);
        return;
    }
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (uint64_t i = 0; i < n; i++)
        task(user, i, (uint32_t)omp_get_thread_num());
}
