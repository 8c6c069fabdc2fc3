/* Programs: each distinct source is compiled once a process and device, and once a machine where
 * the driver gives binaries that are worth keeping. */
#include "ocl.h"
#include <string.h>

struct ocl_program {
    ocl_key key;
    char *source, *options; /* compared too: a hash alone proves nothing */
    cl_program program;
    ocl_program *next;
};

enum { LOG_SIZE = 4096 };
static const char standard[] = "-cl-std=CL1.2 -w "; /* PoCL prints warnings to stderr */
static const char version[] = "weft opencl 1"; /* change it when old binaries must not be used */

static const ocl_program *find(const ocl_device *device, const ocl_key *key, const char *source,
                               const char *options)
{
    for (const ocl_program *p = device->programs; p; p = p->next)
        if (!memcmp(&p->key, key, sizeof *key) && !strcmp(p->source, source) &&
            !strcmp(p->options, options))
            return p;
    return NULL;
}

static void key_text(ocl_key *key, const char *text)
{
    ocl_key_add(key, text, strlen(text) + 1);
}

static ocl_key key_of(const ocl_device *device, const char *source, const char *options)
{
    ocl_key key;
    ocl_key_start(&key);
    key_text(&key, version);
    key_text(&key, device->info.platform);
    key_text(&key, device->platform_version);
    key_text(&key, device->info.name);
    key_text(&key, device->info.vendor);
    key_text(&key, device->info.driver);
    key_text(&key, options);
    key_text(&key, source);
    return key;
}

/* NVIDIA's binaries are PTX, which its driver compiles again and caches by itself. */
static int worth_storing(const ocl_device *device)
{
    return !strstr(device->info.platform, "NVIDIA");
}

static weft_status build_fail(weft_dev *dev, const ocl_request *r, cl_program program, cl_int code)
{
    char log[LOG_SIZE + 1] = "";
    size_t size = 0;
    char *full = NULL;
    if (!clGetProgramBuildInfo(program, dev->device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) &&
        size && (full = ocl_alloc(dev->host, size + 1, 1)) &&
        !clGetProgramBuildInfo(program, dev->device->id, CL_PROGRAM_BUILD_LOG, size, full, NULL))
        strncpy(log, full, LOG_SIZE);
    ocl_free(dev->host, full);
    return ocl_fail(dev->host, WEFT_E_DEVICE,
                    "%s: the kernel of op %s does not compile on %s (driver %s): %s (%d)\n%s",
                    r->path, r->op, dev->device->info.name, dev->device->info.driver,
                    ocl_code_name(code), code, *log ? log : "(the driver gave no log)");
}

static cl_program from_disk(weft_dev *dev, const ocl_key *key, const char *options)
{
    size_t size = 0;
    cl_int code = CL_SUCCESS, status = CL_SUCCESS;
    unsigned char *data = ocl_cache_load(dev->host, key, &size);
    cl_program program = NULL, result = NULL;
    if (!data) return NULL;
    program = clCreateProgramWithBinary(dev->device->context, 1, &dev->device->id, &size,
                                        (const unsigned char **)&data, &status, &code);
    if (code || status) goto out;
    if (clBuildProgram(program, 1, &dev->device->id, options, NULL, NULL)) goto out;
    result = program;
    program = NULL;
out:
    if (program) clReleaseProgram(program);
    ocl_free(dev->host, data);
    return result;
}

static void to_disk(weft_dev *dev, const ocl_key *key, cl_program program)
{
    size_t size = 0;
    unsigned char *data = NULL;
    if (clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) || size < 4)
        return;
    if (!(data = ocl_alloc(dev->host, size, 1))) return;
    if (!clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof data, &data, NULL) &&
        memcmp(data, "//", 2) && memcmp(data, ".ver", 4)) /* PTX is text */
        ocl_cache_store(dev->host, key, data, size);
    ocl_free(dev->host, data);
}

static weft_status build(weft_dev *dev, const ocl_request *r, const char *options,
                         cl_program *result)
{
    cl_int code = CL_SUCCESS;
    weft_status st = WEFT_OK;
    const char *source = r->source;
    cl_program program = clCreateProgramWithSource(dev->device->context, 1, &source, NULL, &code);
    if (code) return ocl_cl_fail(dev->host, code, "%s: no program for op %s", r->path, r->op);
    dev->builds++;
    code = clBuildProgram(program, 1, &dev->device->id, options, NULL, NULL);
    if (code) {
        st = build_fail(dev, r, program, code);
        goto out;
    }
    *result = program;
    program = NULL;
out:
    if (program) clReleaseProgram(program);
    return st;
}

static char *copy_text(const weft_host *host, const char *text)
{
    size_t n = strlen(text);
    char *copy = ocl_alloc(host, n + 1, 1);
    if (copy) memcpy(copy, text, n);
    return copy;
}

static void free_record(const weft_host *host, ocl_program *p)
{
    if (!p) return;
    if (p->program) clReleaseProgram(p->program);
    ocl_free(host, p->source);
    ocl_free(host, p->options);
    ocl_free(host, p);
}

static weft_status get_locked(weft_dev *dev, const ocl_request *r, const char *options,
                              cl_program *program)
{
    ocl_device *device = dev->device;
    ocl_key key = key_of(device, r->source, options);
    const ocl_program *known = find(device, &key, r->source, options);
    int disk = worth_storing(device) && ocl_cache_enabled(dev->host);
    weft_status st = WEFT_OK;
    if (known) {
        *program = known->program;
        return WEFT_OK;
    }
    ocl_program *made = ocl_alloc(dev->host, 1, sizeof *made);
    if (made) made->source = copy_text(dev->host, r->source);
    if (made) made->options = copy_text(dev->host, options);
    if (!made || !made->source || !made->options) {
        st = ocl_fail(dev->host, WEFT_E_NOMEM, "%s: no memory for the program of op %s", r->path,
                      r->op);
        goto out;
    }
    made->key = key;
    if (disk) made->program = from_disk(dev, &key, options);
    if (!made->program) {
        if ((st = build(dev, r, options, &made->program))) goto out;
        if (disk) to_disk(dev, &key, made->program);
    }
    made->next = device->programs;
    device->programs = made;
    *program = made->program;
    made = NULL;
out:
    free_record(dev->host, made);
    return st;
}

weft_status ocl_program_get(weft_dev *dev, const ocl_request *request, cl_program *program)
{
    ocl_text options = { .host = dev->host };
    weft_status st;
    ocl_text_add(&options, "%s%s", standard, request->options ? request->options : "");
    if (options.failed) {
        st = ocl_fail(dev->host, WEFT_E_NOMEM, "%s: no memory for compiler options", request->path);
    } else {
        pthread_mutex_lock(&dev->device->lock);
        st = get_locked(dev, request, options.data, program);
        pthread_mutex_unlock(&dev->device->lock);
    }
    ocl_text_finish(&options);
    return st;
}
