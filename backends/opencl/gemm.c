/* Matrix products: a table of providers, Weft's own kernels (kernels/gemm.cl) and CLBlast. Which
 * one takes a product depends on the device and on shapes alone, so that the same run gives the
 * same numbers. */
#include "step.h"
#include <clblast_c.h>
#include <string.h>
#include "kernels/gemm.cl.h"

enum { PACK_ROWS = 192, PACK_LEAST = 24 };

uint32_t ocl_lanes(const weft_dev *dev, int f64)
{
    uint32_t lanes = f64 ? dev->device->vector_f64 : dev->device->vector_f32, most = f64 ? 8 : 16;
    return lanes >= most ? most : lanes >= 8 ? 8 : 4;
}

/* Of a tile on CPUs: 32 registers hold 12 rows of two vectors, 16 hold 6. */
uint32_t ocl_rows(const weft_dev *dev)
{
    return dev->device->vector_f32 >= 16 ? 12 : 6;
}

/* Is b, of k lines `stride` bytes apart, worth copying into panels for m rows of results? Yes if
 * it is read often (measured), or if a panel read in place would fall on so few sets of a usual
 * second-level cache (2048 of 64 bytes) that it needs more than half of their 16 ways. */
int ocl_pack_pays(int64_t m, int64_t k, int64_t stride)
{
    int64_t sets = 2048, lines = stride / 64;
    while (sets > 1 && lines % 2 == 0) {
        sets /= 2;
        lines /= 2;
    }
    return m >= PACK_ROWS || (m >= PACK_LEAST && k / sets > 8);
}

/* ---- Weft's own ---- */
weft_status ocl_gemm_plain(ocl_call *call, int f64, cl_program *program)
{
    weft_dev *dev = call->dev;
    ocl_text text = { .host = dev->host };
    weft_status st = WEFT_OK;
    if (!dev->gemm[f64]) {
        const char *real = f64 ? "double" : "float";
        if (f64) ocl_text_add(&text, "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n");
        if (dev->cpu) ocl_text_add(&text, "#define WEFT_CPU 1\n");
        ocl_text_add(&text, "#define REAL %s\n#define OUT0_TYPE %s\n", real, real);
        ocl_source_units(&text, dev, f64);
        ocl_text_add(&text,
                     "#define WEFT_EXTRAS\n#define THEN_AT(v, z, r, c) (v)\n"
                     "#define A_BATCH(x) ((x)*a_sz)\n#define B_BATCH(x) ((x)*b_sz)\n"
                     "#define C_BATCH(x) ((x)*c_sz)\n%s",
                     (const char *)weft_cl_gemm);
        ocl_request request = { text.data, NULL, "gemm", call->base.path };
        if (text.failed)
            st = ocl_fail(dev->host, WEFT_E_NOMEM, "%s: no memory for gemm", call->base.path);
        else
            st = ocl_program_get(dev, &request, &dev->gemm[f64]);
    }
    ocl_text_finish(&text);
    *program = dev->gemm[f64];
    return st;
}

enum { MAX_VIEWS = 4 + WEFT_MAP_MAX_INPUTS };

/* Of b and a on CPUs: the first panel that is packed into w, and into how many blocks the rows are
 * cut. */
typedef struct cuts {
    weft_view w;
    int64_t first_packed, blocks;
} cuts;

static weft_status launch_product(ocl_call *call, const ocl_product *p, const cuts *cut,
                                  weft_cl_launch *l)
{
    const weft_view *views[MAX_VIEWS] = { &p->a, &p->b, &cut->w, &p->c };
    int64_t ints[] = {
        p->m,    p->n,    p->k,    p->a_rs, p->a_cs, p->b_rs,           p->b_cs,
        p->c_rs, p->c_cs, p->a_sz, p->b_sz, p->c_sz, cut->first_packed, cut->blocks
    };
    double scalars[] = { p->alpha, p->beta };
    for (uint32_t k = 0; k < p->n_extra; k++)
        views[4 + k] = p->extra[k];
    l->struct_size = sizeof *l;
    l->n_views = 4 + p->n_extra;
    l->n_ints = sizeof ints / sizeof *ints;
    l->n_scalars = 2;
    l->views = views;
    l->ints = ints;
    l->scalars = scalars;
    return ocl_record_launch(call, p->program, l);
}

/* So many bytes of a stay in the second-level cache while all panels of b pass. */
enum { BLOCK_BYTES = 512 << 10 };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void cpu_range(ocl_call *call, const ocl_product *p, int64_t panels, cuts *cut,
                      weft_cl_launch *l)
{
    int64_t rows = ocl_rows(call->dev), tiles = ocl_blocks(p->m, rows);
    int64_t line = rows * p->k * (p->f64 ? 8 : 4), fit = line ? BLOCK_BYTES / line : tiles;
    int64_t block = least(tiles, fit < 1 ? 1 : fit);
    cut->blocks = ocl_blocks(tiles, block);
    l->global[0] = (size_t)block;
    l->global[1] = (size_t)panels;
    l->global[2] = (size_t)(p->z * cut->blocks);
}

/* Packs what has to be packed, then multiplies. */
static weft_status own_cpu(ocl_call *call, const ocl_product *p)
{
    int64_t panel = 2 * (int64_t)ocl_lanes(call->dev, p->f64), panels = ocl_blocks(p->n, panel);
    int all = p->b_cs != 1 || ocl_pack_pays(p->m, p->k, p->b_rs * (p->f64 ? 8 : 4));
    cuts cut = { .first_packed = all ? 0 : p->n / panel };
    int64_t packed = panels - cut.first_packed;
    weft_cl_launch l = { .kernel = "gemm_cpu", .local = { 1, 1, 1 } };
    weft_status st;
    if (p->m == 0 || p->n == 0 || p->z == 0) return WEFT_OK;
    cut.w =
        ocl_work(call, p->f64 ? WEFT_F64 : WEFT_F32, 0, (uint64_t)(packed * panel * p->k * p->z));
    if (cut.w.count) {
        const weft_view *views[] = { &p->b, &cut.w };
        int64_t ints[] = { p->n, p->k, p->b_rs, p->b_cs, p->b_sz, cut.first_packed };
        weft_cl_launch pack = { .struct_size = sizeof pack,
                                .n_views = 2,
                                .n_ints = 6,
                                .kernel = "gemm_pack",
                                .local = { 1, 1, 1 },
                                .views = views,
                                .ints = ints };
        pack.global[0] = (size_t)packed;
        pack.global[1] = (size_t)ocl_blocks(p->k, 64);
        pack.global[2] = (size_t)p->z;
        if ((st = ocl_record_launch(call, p->program, &pack))) return st;
    } else {
        cut.w.data = NULL;
    }
    cpu_range(call, p, panels, &cut, &l);
    return launch_product(call, p, &cut, &l);
}

int ocl_has_tiles(const weft_dev *dev)
{
    return dev->max_group >= 256 && dev->local_memory >= 20480;
}

static weft_status own_gpu(ocl_call *call, const ocl_product *p)
{
    int64_t units = (int64_t)call->dev->device->info.compute_units;
    cuts none = { .w = { .struct_size = sizeof none.w } };
    weft_cl_launch l = { .kernel = "gemm_64", .local = { 16, 16, 1 } };
    int64_t side = 64, large = ocl_blocks(p->m, 128) * ocl_blocks(p->n, 128) * p->z;
    if (!ocl_has_tiles(call->dev)) {
        l = (weft_cl_launch){ .kernel = "gemm_simple" };
        l.global[0] = (size_t)(p->m * p->n);
        l.global[1] = 1;
        l.global[2] = (size_t)p->z;
        return launch_product(call, p, &none, &l);
    }
    if (large >= 2 * units && !p->f64) {
        l.kernel = "gemm_128";
        side = 128;
    }
    l.global[0] = (size_t)(16 * ocl_blocks(p->m, side));
    l.global[1] = (size_t)(16 * ocl_blocks(p->n, side));
    l.global[2] = (size_t)p->z;
    return launch_product(call, p, &none, &l);
}

static weft_status own_record(ocl_call *call, const ocl_product *p)
{
    return call->dev->cpu ? own_cpu(call, p) : own_gpu(call, p);
}

static int own_takes(const ocl_call *call, const ocl_product *p)
{
    (void)call;
    (void)p;
    return 1;
}

/* ---- CLBlast ---- */
/* A matrix of strides rs, cs as CLBlast wants it: one stride 1, the other at least the line it
 * spans. */
static int leading(int64_t rows, int64_t cols, int64_t rs, int64_t cs, int32_t *trans, int64_t *ld)
{
    *trans = 0;
    if (cs == 1 || cols == 1) {
        *ld = rows == 1 ? cols : rs;
        if (*ld >= cols) return 1;
    }
    *trans = 1;
    *ld = cols == 1 ? rows : cs;
    return (rs == 1 || rows == 1) && *ld >= rows;
}

static int clblast_shape(const ocl_product *p, weft_gemm *g)
{
    int32_t c_trans = 0;
    *g = (weft_gemm){ .struct_size = sizeof *g,
                      .m = p->m,
                      .n = p->n,
                      .k = p->k,
                      .alpha = p->alpha,
                      .beta = p->beta,
                      .a = &p->a,
                      .b = &p->b,
                      .c = &p->c };
    if (!leading(p->m, p->k, p->a_rs, p->a_cs, &g->trans_a, &g->lda)) return 0;
    if (!leading(p->k, p->n, p->b_rs, p->b_cs, &g->trans_b, &g->ldb)) return 0;
    return leading(p->m, p->n, p->c_rs, p->c_cs, &c_trans, &g->ldc) && !c_trans;
}

/* Its kernels count elements in ints, and cut off what is larger without a word. Its copies of
 * matrices are padded: half is left for that. */
int ocl_clblast_reaches(const weft_gemm *g, const uint64_t *offset)
{
    const int64_t lines[3] = { g->trans_a ? g->k : g->m, g->trans_b ? g->n : g->k, g->m };
    const int64_t line[3] = { g->lda, g->ldb, g->ldc };
    for (int i = 0; i < 3; i++)
        if (lines[i] > (INT32_MAX / 2) / (line[i] > 0 ? line[i] : 1) ||
            offset[i] > (uint64_t)(INT32_MAX - lines[i] * line[i]))
            return 0;
    return 1;
}

/* Only single products: the strided batch of CLBlast 1.5.3 is wrong without a word on its indirect
 * path, when an offset is not 0 or a stride not tight. Sizes of 0 are an error to it. */
static int clblast_takes(const ocl_call *call, const ocl_product *p)
{
    weft_gemm g;
    if (!call->dev->clblast || call->exe->far || p->f64 || p->z != 1 || p->m < 1 || p->n < 1 ||
        p->k < 1)
        return 0;
    return p->c.dtype == WEFT_F32 && clblast_shape(p, &g) &&
           ocl_clblast_reaches(&g, (const uint64_t[]){ p->a.offset, p->b.offset, p->c.offset });
}

static weft_status clblast_record(ocl_call *call, const ocl_product *p)
{
    weft_gemm g;
    weft_status st;
    clblast_shape(p, &g);
    if ((st = ocl_record_clblast(call, &g)) || !p->then) return st;
    cuts none = { .w = { .struct_size = sizeof none.w } };
    weft_cl_launch l = { .kernel = "gemm_then" };
    l.global[0] = (size_t)(p->m * p->n);
    l.global[1] = l.global[2] = 1;
    return launch_product(call, p, &none, &l);
}

/* CLBlast fills tables on first use without a lock of its own, so every call is made under this
 * one. */
static pthread_mutex_t clblast_lock = PTHREAD_MUTEX_INITIALIZER;

weft_status ocl_clblast_run(weft_dev *dev, const weft_step *step, const weft_gemm *g,
                            const cl_mem *mem, const uint64_t *offset, cl_command_queue queue)
{
    CLBlastTranspose ta = g->trans_a ? CLBlastTransposeYes : CLBlastTransposeNo;
    CLBlastTranspose tb = g->trans_b ? CLBlastTransposeYes : CLBlastTransposeNo;
    pthread_mutex_lock(&clblast_lock);
    int code = CLBlastSgemm(CLBlastLayoutRowMajor, ta, tb, (size_t)g->m, (size_t)g->n, (size_t)g->k,
                            (float)g->alpha, mem[0], offset[0], (size_t)g->lda, mem[1], offset[1],
                            (size_t)g->ldb, (float)g->beta, mem[2], offset[2], (size_t)g->ldc,
                            &queue, NULL);
    pthread_mutex_unlock(&clblast_lock);
    if (!code) return WEFT_OK;
    return ocl_cl_fail(dev->host, code, "%s: op %s: CLBlast gemm of %lld x %lld x %lld on %s",
                       step->path, step->op->name, (long long)g->m, (long long)g->n,
                       (long long)g->k, dev->device->info.name);
}

/* ---- the table ---- */
static const struct provider {
    const char *name;
    int (*takes)(const ocl_call *, const ocl_product *);
    weft_status (*record)(ocl_call *, const ocl_product *);
} providers[] = {
    { "clblast", clblast_takes, clblast_record },
    { "weft", own_takes, own_record },
};

weft_status ocl_product_record(ocl_call *call, const ocl_product *p)
{
    const struct provider *provider = providers;
    while (!provider->takes(call, p))
        provider++;
    return provider->record(call, p);
}

weft_status ocl_gemm(ocl_call *call, const weft_gemm *g)
{
    ocl_product p = { .a = *g->a,
                      .b = *g->b,
                      .c = *g->c,
                      .m = g->m,
                      .n = g->n,
                      .k = g->k,
                      .z = 1,
                      .c_rs = g->ldc,
                      .c_cs = 1,
                      .alpha = g->alpha,
                      .beta = g->beta };
    weft_status st;
    p.f64 = p.c.dtype == WEFT_F64;
    p.a.offset += (uint64_t)g->a_offset;
    p.b.offset += (uint64_t)g->b_offset;
    p.c.offset += (uint64_t)g->c_offset;
    p.a_rs = g->trans_a ? 1 : g->lda;
    p.a_cs = g->trans_a ? g->lda : 1;
    p.b_rs = g->trans_b ? 1 : g->ldb;
    p.b_cs = g->trans_b ? g->ldb : 1;
    if ((st = ocl_gemm_plain(call, p.f64, &p.program))) return st;
    return ocl_product_record(call, &p);
}
