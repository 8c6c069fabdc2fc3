/* Compiled steps and their run. Compiling chooses kernels and parses expressions; a run puts the
 * batch into dimensions and strides, once a generation, and calls the kernels in order. */
#include "cpu.h"
#include <string.h>
#include <time.h>

struct weft_exe {
    uint32_t n, placed; /* placed: `generation` says for which run */
    uint64_t generation;
    cpu_node **nodes;
    void *scratch; /* one for all steps: they run one after the other */
    size_t scratch_size;
};

static weft_status make_node(weft_dev *dev, const weft_step *step, cpu_node **res)
{
    weft_support support = { .struct_size = sizeof support };
    const cpu_kernel *row;
    weft_status st;
    if ((st = cpu_node_create(dev, step, res))) return st;
    row = cpu_choose(*res, &support);
    if (!(*res)->kernel) {
        return cpu_fail(&(*res)->call, WEFT_E_UNSUPPORTED, "the cpu backend cannot run %s: %s",
                        step->op->name, support.why);
    }
    return row && row->prepare ? row->prepare(*res) : WEFT_OK;
}

weft_status cpu_compile(weft_dev *dev, const weft_step *const *steps, uint32_t n, weft_exe **res)
{
    size_t bytes = sizeof(weft_exe) + n * sizeof(cpu_node *);
    weft_exe *exe = dev->host->alloc(dev->host, bytes, 64);
    weft_status st = WEFT_OK;
    *res = NULL;
    if (!exe) return WEFT_E_NOMEM;
    memset(exe, 0, bytes);
    exe->n = n;
    exe->nodes = (cpu_node **)(void *)(exe + 1);
    for (uint32_t i = 0; i < n; i++) {
        if ((st = make_node(dev, steps[i], &exe->nodes[i]))) goto out;
    }
    *res = exe;
    exe = NULL;
out:
    cpu_release_exe(dev, exe);
    return st;
}

void cpu_release_exe(weft_dev *dev, weft_exe *exe)
{
    if (!exe) return;
    for (uint32_t i = 0; i < exe->n; i++)
        cpu_node_destroy(&exe->nodes[i]);
    if (exe->scratch) dev->host->release(dev->host, exe->scratch);
    dev->host->release(dev->host, exe);
}

static weft_status grow_scratch(weft_dev *dev, weft_exe *exe, size_t size)
{
    if (size <= exe->scratch_size) return WEFT_OK;
    if (exe->scratch) dev->host->release(dev->host, exe->scratch);
    exe->scratch_size = 0;
    exe->scratch = dev->host->alloc(dev->host, size, 64);
    if (!exe->scratch) return WEFT_E_NOMEM;
    exe->scratch_size = size;
    return WEFT_OK;
}

static weft_status place(weft_dev *dev, weft_exe *exe, const weft_run *run)
{
    size_t most = 64; /* never NULL: kernels may add 0 to it */
    weft_status st;
    exe->placed = 0;
    for (uint32_t i = 0; i < exe->n; i++) {
        cpu_node *node = exe->nodes[i];
        cpu_node_place(node, run->batch);
        node->call.scratch_size = node->kernel->scratch ? node->kernel->scratch(&node->call) : 0;
        if (node->call.scratch_size > most) most = node->call.scratch_size;
    }
    if ((st = grow_scratch(dev, exe, most))) return st;
    for (uint32_t i = 0; i < exe->n; i++)
        exe->nodes[i]->call.scratch = exe->scratch;
    exe->placed = 1;
    exe->generation = run->generation;
    return WEFT_OK;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

weft_status cpu_run(weft_dev *dev, weft_exe *exe, const weft_run *run)
{
    const weft_bind *binds = run->binds;
    weft_status st = WEFT_OK;
    if (!exe->placed || exe->generation != run->generation) {
        if ((st = place(dev, exe, run))) return st;
    }
    cpu_blas_enter();
    for (uint32_t i = 0; i < exe->n && !st; i++) {
        cpu_node *node = exe->nodes[i];
        uint64_t start = run->step_ns ? now_ns() : 0;
        cpu_node_bind(node, binds);
        binds += node->call.n_in + node->call.n_out;
        st = node->kernel->run(&node->call);
        if (run->step_ns) run->step_ns[i] = now_ns() - start;
    }
    cpu_blas_leave();
    return st;
}
