/* Drives the cpu backend's table one step at a time, without the planner: tensors whose numbers
 * are known as doubles and lie dense, pitched, strided or broadcast in memory, a step over them,
 * and its run. */
#ifndef WEFT_CPU_HARNESS_H
#define WEFT_CPU_HARNESS_H
#include <weft/backend.h>
#include <weft/map.h>

extern const weft_plugin weft_plugin_v1_cpu;

enum { CPU_STEP_ARGS = 8 };
typedef enum lie { LIE_DENSE, LIE_PITCHED, LIE_STRIDED, LIE_REPEATED } lie;

typedef struct tensor {
    weft_dtype dtype;
    int32_t rank;
    lie how;
    int64_t dim[WEFT_MAX_RANK], stride[WEFT_MAX_RANK]; /* of a batch of `batch` */
    uint64_t count;
    double *v;    /* row-major */
    char *memory; /* bytes of it; gaps hold GAP */
    uint64_t bytes;
} tensor;

typedef struct attr { /* one of them is meant */
    const char *name;
    int64_t i;
    double f;
    const char *s;
    uint32_t n; /* > 0: the list */
    int64_t list[2 * WEFT_MAX_RANK];
} attr;

typedef struct test_step {
    weft_step step; /* first */
    weft_op_class op;
    attr attrs[CPU_STEP_ARGS];
    uint32_t n_attrs;
    tensor *in[WEFT_MAP_MAX_INPUTS + 1], *out[CPU_STEP_ARGS];
    int64_t batch; /* > 0: first dimensions are told as -dim/batch */
    /* out k is bound to the memory of input lies_on[k] - 1, 0: its own; after step_run and
     * opencl_run they have changed places */
    uint32_t lies_on[CPU_STEP_ARGS];
    size_t most; /* bytes of the largest block that the run asked for */
    weft_operand operands[WEFT_MAP_MAX_INPUTS + 1 + CPU_STEP_ARGS];
    const weft_operand *pointers[WEFT_MAP_MAX_INPUTS + 1 + CPU_STEP_ARGS];
    int64_t dims[WEFT_MAP_MAX_INPUTS + 1 + CPU_STEP_ARGS][2 * WEFT_MAX_RANK];
} test_step;

/* A host that counts its blocks, keeps the last failure, and offers the expressions of libweft. */
typedef struct test_host {
    weft_host host; /* first */
    char failure[512], log[512];
    const char *num_threads;
    int64_t blocks;
    size_t most; /* bytes of the largest one */
} test_host;
void host_init(test_host *host);

const weft_backend *cpu_backend(void);
/* Seeded; lo..hi inclusive. */
int64_t random_int(int64_t lo, int64_t hi);
double random_real(double lo, double hi);
void random_seed(uint64_t seed);

/* Random numbers in [-1, 1], rounded to the dtype; integers in [-4, 4]. Filled at once into
 * memory. */
tensor *tensor_make(weft_dtype dtype, lie how, int32_t rank, const int64_t *dim);
void tensor_free(tensor *t);
void tensor_put(tensor *t); /* v -> memory */
void tensor_get(tensor *t); /* memory -> v; fails when a gap was written */
lie random_lie(void);
lie random_pitched(void); /* dense or pitched */

void step_init(test_step *s, const char *op);
void step_in(test_step *s, tensor *t);
void step_out(test_step *s, tensor *t);
void step_int(test_step *s, const char *name, int64_t value);
void step_real(test_step *s, const char *name, double value);
void step_text(test_step *s, const char *name, const char *value);
void step_list(test_step *s, const char *name, uint32_t n, const int64_t *values);
void step_then(test_step *s, const char *then, uint32_t n_extra);
/* Makes the operands from the tensors; then s->step can be handed over. */
void step_ready(test_step *s);
/* Opens, asks, compiles, runs, fetches the outputs, closes; every step of it must succeed. */
void step_run(test_step *s);
/* The same up to the run, whose status and text come back. */
weft_status step_run_status(test_step *s, char *text, size_t size);
/* Results that lie on inputs become the outputs. */
void step_swap(test_step *s);
void step_free(test_step *s); /* and its tensors */

/* Row-major index <-> place. */
uint64_t flat_of(int32_t rank, const int64_t *dim, const int64_t *at);
void place_of(int32_t rank, const int64_t *dim, uint64_t flat, int64_t *at);
/* Element of t at a place of a larger shape, as numpy broadcasts. */
double broadcast_at(const tensor *t, int32_t rank, const int64_t *at);
/* got against want: both NaN, equal, or nearer than `limit`. */
void expect_near(double got, double want, double limit, const char *what, uint64_t where);
#endif
