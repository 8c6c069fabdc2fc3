/* The cpu backend: the reference. Plain C that defines what every op means, gemm by OpenBLAS. One
 * device, f32 and f64. This file is its table and the device itself. */
#include "cpu.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_THREADS 1024

static weft_status probe(const weft_host *host, uint32_t *n_dev, char *why, size_t why_size)
{
    (void)host;
    *n_dev = 1;
    if (why_size) why[0] = '\0';
    return WEFT_OK;
}

/* The value of a line "key<blanks>: value" of /proc/cpuinfo; `otherwise` where there is none. */
static void cpuinfo(const char *key, const char *otherwise, char *value, size_t size)
{
    char line[512];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(value, size, "%s", otherwise);
    if (!file) return;
    while (fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        size_t n = strlen(key);
        if (!colon || strncmp(line, key, n) || (line[n] != '\t' && line[n] != ' ')) continue;
        colon += 1 + strspn(colon + 1, " \t");
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(value, size, "%s", colon);
        break;
    }
    fclose(file);
}

static weft_status info(const weft_host *host, uint32_t dev, weft_dev_info *res)
{
    weft_dev_info t = {
        .kind = WEFT_DEV_CPU, .align = 64, .has_f64 = 1, .unified = 1, .usable = 1
    };
    uint32_t size = res->struct_size;
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (dev != 0) return host->fail(host, WEFT_E_ARG, "cpu: there is one device, cpu:0");
    cpuinfo("model name", "CPU", t.name, sizeof t.name);
    cpuinfo("vendor_id", "", t.vendor, sizeof t.vendor);
    cpu_blas_describe(t.driver, sizeof t.driver);
    snprintf(t.platform, sizeof t.platform, "host");
    if (pages > 0 && page > 0) t.mem_total = t.max_alloc = (uint64_t)pages * (uint64_t)page;
    t.compute_units = cpu_processors();
    t.struct_size = size;
    memcpy(res, &t, size < sizeof t ? size : sizeof t);
    return WEFT_OK;
}

/* The setting num_threads: a number, or nothing for all processors. */
static weft_status read_threads(const weft_host *host, uint32_t *threads)
{
    const char *text = host->setting ? host->setting(host, "num_threads") : NULL;
    char *end, message[160];
    long n;
    *threads = cpu_processors();
    if (!text || !text[0] || !strcmp(text, "0")) return WEFT_OK;
    n = strtol(text, &end, 10);
    if (*end || n < 0 || n > MAX_THREADS) {
        snprintf(message, sizeof message,
                 "cpu: WEFT_NUM_THREADS is \"%.40s\"; give a number from 1 to %d, or 0 for all "
                 "processors",
                 text, MAX_THREADS);
        return host->fail(host, WEFT_E_ARG, message);
    }
    *threads = (uint32_t)n;
    return WEFT_OK;
}

static weft_status open_device(const weft_host *host, uint32_t dev, const char *options,
                               weft_dev **res)
{
    weft_dev *t;
    uint32_t threads;
    weft_status st;
    *res = NULL;
    if (dev != 0) return host->fail(host, WEFT_E_ARG, "cpu: there is one device, cpu:0");
    if (options && options[0]) {
        return host->fail(host, WEFT_E_ARG,
                          "cpu: the device takes no options; WEFT_NUM_THREADS sets its threads");
    }
    if ((st = read_threads(host, &threads))) return st;
    t = host->alloc(host, sizeof *t, 64);
    if (!t) return WEFT_E_NOMEM;
    *t = (weft_dev){ .host = host, .threads = threads };
    t->map = host->extension ? host->extension(host, WEFT_MAP_ID) : NULL;
    cpu_blas_warn(host);
    *res = t;
    return WEFT_OK;
}

static void close_device(weft_dev *dev)
{
    if (dev) dev->host->release(dev->host, dev);
}

static weft_status finish(weft_dev *dev)
{
    (void)dev;
    return WEFT_OK;
}

static const char *const kernel_ids[] = { WEFT_KERNEL_CPU, NULL };
static const weft_ext services[] = { { WEFT_GEMM_ID, &cpu_gemm_api }, { 0 } };
static const weft_backend backend = {
    .struct_size = sizeof(weft_backend),
    .id = "cpu",
    .kernel_ids = kernel_ids,
    .doc = "The reference: plain C and OpenBLAS, f32 and f64. Always there.",
    .probe = probe,
    .info = info,
    .open = open_device,
    .close = close_device,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .write = cpu_write,
    .read = cpu_read,
    .wrap = cpu_wrap,
    .finish = finish,
    .supports = cpu_supports,
    .compile = cpu_compile,
    .run = cpu_run,
    .release_exe = cpu_release_exe,
    .services = services,
};
static const weft_backend *const backends[] = { &backend, NULL };

WEFT_PLUGIN(cpu, .version = "0.1.0", .author = "the Weft authors", .license = "Apache-2.0",
            .backends = backends);
