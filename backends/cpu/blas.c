/* Which kernels OpenBLAS has chosen for this processor, and whether it has better ones. A release
 * that is older than the processor takes its oldest kernels, far slower ones, without a word.
 * The choice is made when the library is loaded; only the environment can change it. */
#include <cblas.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "cpu.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define HAS(feature) (__builtin_cpu_supports(feature) != 0)
#else
#define HAS(feature) 0
#endif

const char *cpu_blas_better(void)
{
    static const char *const old[] = {
        "Generic", "Prescott", "Core2",     "Penryn",  "Dunnington",
        "Nehalem", "Atom",     "Barcelona", "Opteron", "Opteron_SSE3"
    };
    const char *core = openblas_get_corename();
    if (!strstr(openblas_get_config(), "DYNAMIC_ARCH")) return NULL; /* it has no others */
    for (size_t i = 0; i < sizeof old / sizeof *old; i++)
        if (!strcmp(core, old[i]) && HAS("avx2") && HAS("fma"))
            return HAS("avx512f") && HAS("avx512vl") && HAS("avx512bw") && HAS("avx512dq")
                       ? "SkylakeX"
                       : "Haswell";
    return NULL;
}

void cpu_blas_describe(char *text, size_t size)
{
    const char *config = openblas_get_config(), *better = cpu_blas_better();
    size_t name = strcspn(config, " "); /* "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH .." */
    name += config[name] ? 1 + strcspn(config + name + 1, " ") : 0;
    snprintf(text, size, "%.*s, %s kernels%s%s", (int)name, config, openblas_get_corename(),
             better ? ", slow on this processor: set OPENBLAS_CORETYPE=" : "",
             better ? better : "");
}

void cpu_blas_warn(const weft_host *host)
{
    static atomic_flag said = ATOMIC_FLAG_INIT; /* the choice is the process's */
    char text[256];
    const char *better = cpu_blas_better();
    if (!better || !host->log || atomic_flag_test_and_set(&said)) return;
    snprintf(text, sizeof text,
             "cpu: OpenBLAS uses its %s kernels, which are far older than this processor; set "
             "OPENBLAS_CORETYPE=%s in the environment to make matmul and conv faster",
             openblas_get_corename(), better);
    host->log(host, WEFT_LOG_WARN, text);
}
