/* Finds the devices of all installed OpenCL drivers, once a process, in an order that does not
 * depend on the order in which the loader lists them. Unusable ones stay in the list with their
 * reason. */
#include "ocl.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_PLATFORMS = 32, MAX_DEVICES = 64 };

static struct {
    pthread_mutex_t lock;
    int searched;
    ocl_device list[MAX_DEVICES];
    uint32_t n;
    char why[192];
} found = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void read_text(cl_device_id id, cl_device_info what, char *text, size_t size)
{
    char full[1024] = "";
    if (clGetDeviceInfo(id, what, sizeof full - 1, full, NULL)) full[0] = '\0';
    const char *start = full;
    while (isspace((unsigned char)*start))
        start++; /* some drivers pad with spaces */
    size_t n = strlen(start);
    while (n && isspace((unsigned char)start[n - 1]))
        n--;
    if (n >= size) n = size - 1;
    memcpy(text, start, n);
    text[n] = '\0';
}

static cl_ulong read_number(cl_device_id id, cl_device_info what, size_t size)
{
    unsigned char raw[sizeof(cl_ulong)] = { 0 };
    cl_uint small;
    cl_ulong big;
    if (clGetDeviceInfo(id, what, size, raw, NULL)) return 0;
    memcpy(&small, raw, sizeof small);
    memcpy(&big, raw, sizeof big);
    return size == sizeof small ? small : big;
}
#define NUMBER(id, what, type) read_number(id, what, sizeof(type))

static weft_dev_kind kind_of(cl_device_type type, int unified)
{
    if (type & CL_DEVICE_TYPE_GPU) return unified ? WEFT_DEV_IGPU : WEFT_DEV_GPU;
    return type & CL_DEVICE_TYPE_CPU ? WEFT_DEV_CPU : WEFT_DEV_ACCEL;
}

/* Why the device cannot run Weft's kernels, or NULL. */
static const char *unusable(const ocl_device *d)
{
    if (!NUMBER(d->id, CL_DEVICE_AVAILABLE, cl_bool))
        return "the driver says that it is not available";
    if (!NUMBER(d->id, CL_DEVICE_COMPILER_AVAILABLE, cl_bool)) return "its driver has no compiler";
    if (!NUMBER(d->id, CL_DEVICE_ENDIAN_LITTLE, cl_bool)) return "it is big-endian";
    if (NUMBER(d->id, CL_DEVICE_ADDRESS_BITS, cl_uint) != 64)
        return "its addresses have not 64 bits";
    if (!d->max_group || !d->info.max_alloc) return "its driver does not tell its limits";
    if (!strncmp(d->platform_version, "OpenCL 1.0", 10) ||
        !strncmp(d->platform_version, "OpenCL 1.1", 10))
        return "its driver is older than OpenCL 1.2";
    return NULL;
}

/* The most work-items of a group that fit into one dimension, and into lines of 16: the shapes of
 * groups that kernels ask for. */
static size_t largest_group(cl_device_id id)
{
    size_t most = NUMBER(id, CL_DEVICE_MAX_WORK_GROUP_SIZE, size_t), items[8] = { 0 };
    cl_uint dims = NUMBER(id, CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS, cl_uint);
    if (dims < 2 || dims > 8 ||
        clGetDeviceInfo(id, CL_DEVICE_MAX_WORK_ITEM_SIZES, dims * sizeof *items, items, NULL))
        return most;
    if (most > items[0]) most = items[0];
    return most > 16 * items[1] ? 16 * items[1] : most;
}

static void describe(ocl_device *d, const char *platform, cl_platform_id platform_id,
                     cl_device_id id)
{
    weft_dev_info *info = &d->info;
    d->platform = platform_id;
    d->id = id;
    info->struct_size = sizeof *info;
    snprintf(info->platform, sizeof info->platform, "%s", platform);
    read_text(id, CL_DEVICE_NAME, info->name, sizeof info->name);
    read_text(id, CL_DEVICE_VENDOR, info->vendor, sizeof info->vendor);
    read_text(id, CL_DRIVER_VERSION, info->driver, sizeof info->driver);
    if (clGetPlatformInfo(platform_id, CL_PLATFORM_VERSION, sizeof d->platform_version - 1,
                          d->platform_version, NULL))
        d->platform_version[0] = '\0';
    cl_device_type type = NUMBER(id, CL_DEVICE_TYPE, cl_device_type);
    info->unified = NUMBER(id, CL_DEVICE_HOST_UNIFIED_MEMORY, cl_bool) != 0;
    info->kind = kind_of(type, (int)info->unified);
    info->mem_total = NUMBER(id, CL_DEVICE_GLOBAL_MEM_SIZE, cl_ulong);
    info->max_alloc = NUMBER(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, cl_ulong);
    info->compute_units = (uint32_t)NUMBER(id, CL_DEVICE_MAX_COMPUTE_UNITS, cl_uint);
    d->is_cpu = info->kind == WEFT_DEV_CPU;
    info->align = d->is_cpu ? 64 : 256; /* a cache line, a memory transaction */
    d->max_group = largest_group(id);
    d->local_memory = NUMBER(id, CL_DEVICE_LOCAL_MEM_SIZE, cl_ulong);
    d->vector_f32 = (uint32_t)NUMBER(id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, cl_uint);
    d->vector_f64 = (uint32_t)NUMBER(id, CL_DEVICE_NATIVE_VECTOR_WIDTH_DOUBLE, cl_uint);
    info->has_f64 = NUMBER(id, CL_DEVICE_DOUBLE_FP_CONFIG, cl_device_fp_config) != 0;
    char extensions[8192] = "";
    if (clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, sizeof extensions - 1, extensions, NULL))
        extensions[0] = '\0';
    info->has_f16 = strstr(extensions, "cl_khr_fp16") != NULL;
    const char *why = unusable(d);
    info->usable = !why;
    snprintf(info->why, sizeof info->why, "%s", why ? why : "");
}

static int rank_of(const ocl_device *d)
{
    switch (d->info.kind) {
    case WEFT_DEV_GPU: return 0;
    case WEFT_DEV_IGPU: return 1;
    case WEFT_DEV_ACCEL: return 2;
    default: return 3;
    }
}

static int before(const ocl_device *a, const ocl_device *b)
{
    if (rank_of(a) != rank_of(b)) return rank_of(a) < rank_of(b);
    return strcmp(a->info.platform, b->info.platform) < 0;
}

/* Insertion sort: keeps the driver's own order of equal devices, and the lists are short. */
static void sort(ocl_device *list, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        ocl_device d = list[i];
        uint32_t k = i;
        for (; k > 0 && before(&d, &list[k - 1]); k--)
            list[k] = list[k - 1];
        list[k] = d;
    }
}

/* What is left out, and why: the list itself shows only what was found. */
static void warn(const weft_host *host, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void warn(const weft_host *host, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (host->log) host->log(host, WEFT_LOG_WARN, text);
}

static void search_platform(const weft_host *host, cl_platform_id platform)
{
    char name[128] = "";
    cl_device_id ids[MAX_DEVICES];
    cl_uint n = 0;
    cl_int code = clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof name - 1, name, NULL);
    if (!code) code = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, MAX_DEVICES, ids, &n);
    if (code == CL_DEVICE_NOT_FOUND) return;
    if (code) {
        warn(host, "opencl: platform \"%s\" does not list its devices: %s (%d)", name,
             ocl_code_name(code), code);
        return;
    }
    if (n > MAX_DEVICES - found.n) {
        warn(host, "opencl: %u devices of platform \"%s\" are left out: %d are the most",
             (unsigned)(n - (MAX_DEVICES - found.n)), name, MAX_DEVICES);
        n = MAX_DEVICES - found.n;
    }
    for (cl_uint i = 0; i < n; i++)
        describe(&found.list[found.n++], name, platform, ids[i]);
}

static void search(const weft_host *host)
{
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint n = 0;
    cl_int code = clGetPlatformIDs(MAX_PLATFORMS, platforms, &n);
    if (code || n == 0) {
        snprintf(found.why, sizeof found.why,
                 "no OpenCL driver is installed (%s); install the one of your device, or "
                 "pocl-opencl-icd for the CPU",
                 code ? ocl_code_name(code) : "no platform");
        return;
    }
    if (n > MAX_PLATFORMS) {
        warn(host, "opencl: %u platforms are installed, %d are the most", (unsigned)n,
             MAX_PLATFORMS);
        n = MAX_PLATFORMS;
    }
    for (cl_uint i = 0; i < n; i++)
        search_platform(host, platforms[i]);
    if (found.n == 0)
        snprintf(found.why, sizeof found.why,
                 "%u OpenCL platforms are installed, none has a device", (unsigned)n);
    sort(found.list, found.n);
    for (uint32_t i = 0; i < found.n; i++)
        pthread_mutex_init(&found.list[i].lock, NULL);
}

weft_status ocl_devices(const weft_host *host, ocl_device **list, uint32_t *n, char *why,
                        size_t why_size)
{
    pthread_mutex_lock(&found.lock);
    if (!found.searched) search(host);
    found.searched = 1;
    *list = found.list;
    *n = found.n;
    if (why && why_size) snprintf(why, why_size, "%s", found.why);
    pthread_mutex_unlock(&found.lock);
    return WEFT_OK;
}

static int contains(const char *text, const char *part)
{
    for (; *text; text++) {
        size_t i = 0;
        while (part[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (!part[i]) return 1;
    }
    return 0;
}

int ocl_device_chosen(const weft_host *host, const ocl_device *device)
{
    const char *part = host->setting ? host->setting(host, "opencl_devices") : NULL;
    if (!part || !*part) return 1;
    return contains(device->info.name, part) || contains(device->info.platform, part);
}
