/* Drives the opencl backend's table one step at a time, without the planner, with the steps and
 * tensors of cpu_harness.h. The module is loaded from the build tree. */
#ifndef WEFT_OPENCL_HARNESS_H
#define WEFT_OPENCL_HARNESS_H
#include "cpu_harness.h"

typedef struct opencl_bench { /* an opened device and the host it sees */
    test_host host;           /* first */
    const char *variant, *gemm, *cache_dir;
    weft_dev *dev;
} opencl_bench;

/* NULL, after saying why, if there is no module or no usable device: such a test is skipped. */
const weft_backend *opencl_backend(void);
/* Whether the device is Oclgrind, which is slow. */
int opencl_simulated(void);
/* variant "cpu" or "gpu", gemm "weft" or "clblast"; NULL: the backend's choice. No cache on disk.
 */
void opencl_open(opencl_bench *b, const char *variant, const char *gemm);
void opencl_close(opencl_bench *b);

/* Compiles, runs, fetches the results, releases; every part must succeed. */
void opencl_run(opencl_bench *b, test_step *s);
/* The same in parts: one compiled step, several runs. */
weft_exe *opencl_compile(opencl_bench *b, test_step *s);
weft_status opencl_run_exe(opencl_bench *b, weft_exe *exe, test_step *s, uint64_t *step_ns);
#endif
