/* Failures in words: the names of OpenCL's and CLBlast's codes, and the way to the host's record.
 */
#include "ocl.h"
#include <stdarg.h>
#include <stdio.h>

static const struct {
    int code;
    const char *name;
} names[] = {
#define NAME(n) \
    {           \
        n, #n   \
    }
    NAME(CL_DEVICE_NOT_FOUND),
    NAME(CL_DEVICE_NOT_AVAILABLE),
    NAME(CL_COMPILER_NOT_AVAILABLE),
    NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE),
    NAME(CL_OUT_OF_RESOURCES),
    NAME(CL_OUT_OF_HOST_MEMORY),
    NAME(CL_PROFILING_INFO_NOT_AVAILABLE),
    NAME(CL_MEM_COPY_OVERLAP),
    NAME(CL_IMAGE_FORMAT_MISMATCH),
    NAME(CL_IMAGE_FORMAT_NOT_SUPPORTED),
    NAME(CL_BUILD_PROGRAM_FAILURE),
    NAME(CL_MAP_FAILURE),
    NAME(CL_MISALIGNED_SUB_BUFFER_OFFSET),
    NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
    NAME(CL_COMPILE_PROGRAM_FAILURE),
    NAME(CL_LINKER_NOT_AVAILABLE),
    NAME(CL_LINK_PROGRAM_FAILURE),
    NAME(CL_DEVICE_PARTITION_FAILED),
    NAME(CL_KERNEL_ARG_INFO_NOT_AVAILABLE),
    NAME(CL_INVALID_VALUE),
    NAME(CL_INVALID_DEVICE_TYPE),
    NAME(CL_INVALID_PLATFORM),
    NAME(CL_INVALID_DEVICE),
    NAME(CL_INVALID_CONTEXT),
    NAME(CL_INVALID_QUEUE_PROPERTIES),
    NAME(CL_INVALID_COMMAND_QUEUE),
    NAME(CL_INVALID_HOST_PTR),
    NAME(CL_INVALID_MEM_OBJECT),
    NAME(CL_INVALID_BINARY),
    NAME(CL_INVALID_BUILD_OPTIONS),
    NAME(CL_INVALID_PROGRAM),
    NAME(CL_INVALID_PROGRAM_EXECUTABLE),
    NAME(CL_INVALID_KERNEL_NAME),
    NAME(CL_INVALID_KERNEL_DEFINITION),
    NAME(CL_INVALID_KERNEL),
    NAME(CL_INVALID_ARG_INDEX),
    NAME(CL_INVALID_ARG_VALUE),
    NAME(CL_INVALID_ARG_SIZE),
    NAME(CL_INVALID_KERNEL_ARGS),
    NAME(CL_INVALID_WORK_DIMENSION),
    NAME(CL_INVALID_WORK_GROUP_SIZE),
    NAME(CL_INVALID_WORK_ITEM_SIZE),
    NAME(CL_INVALID_GLOBAL_OFFSET),
    NAME(CL_INVALID_EVENT_WAIT_LIST),
    NAME(CL_INVALID_EVENT),
    NAME(CL_INVALID_OPERATION),
    NAME(CL_INVALID_BUFFER_SIZE),
    NAME(CL_INVALID_GLOBAL_WORK_SIZE),
#undef NAME
    { -1001, "CL_PLATFORM_NOT_FOUND_KHR" },
    { -9999, "out of bounds access (NVIDIA)" },
    { -1007, "CLBlastInsufficientMemoryY" },
    { -1008, "CLBlastInsufficientMemoryX" },
    { -1009, "CLBlastInsufficientMemoryC" },
    { -1010, "CLBlastInsufficientMemoryB" },
    { -1011, "CLBlastInsufficientMemoryA" },
    { -1014, "CLBlastInvalidLeadDimC" },
    { -1015, "CLBlastInvalidLeadDimB" },
    { -1016, "CLBlastInvalidLeadDimA" },
    { -1017, "CLBlastInvalidDimension" },
    { -1024, "CLBlastNotImplemented" },
    { -2039, "CLBlastUnexpectedError" },
    { -2040, "CLBlastUnknownError" },
    { -2041, "CLBlastDatabaseError" },
    { -2044, "CLBlastNoDoublePrecision" },
    { -2045, "CLBlastNoHalfPrecision" },
    { -2046, "CLBlastInvalidLocalMemUsage" },
    { -2047, "CLBlastMissingOverrideParameter" },
    { -2048, "CLBlastInvalidOverrideKernel" },
};

const char *ocl_code_name(int code)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code) return names[i].name;
    return "unknown code";
}

weft_status ocl_fail(const weft_host *host, weft_status status, const char *format, ...)
{
    char text[6144]; /* a build log is 4 KiB */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return host->fail(host, status, text);
}

weft_status ocl_cl_fail(const weft_host *host, int code, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int memory = code == CL_OUT_OF_HOST_MEMORY || code == CL_MEM_OBJECT_ALLOCATION_FAILURE;
    return ocl_fail(host, memory ? WEFT_E_NOMEM : WEFT_E_DEVICE, "%s: %s (%d)", text,
                    ocl_code_name(code), code);
}
