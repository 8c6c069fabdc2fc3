/* Array files are hostile until read: any bytes give an array or an error, and nothing else. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weft/weft.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[] = "/tmp/weft_fuzz_XXXXXX";
    static int file = -1;
    weft_array *array = NULL;
    weft_npz *npz = NULL;

    if (file < 0 && (file = mkstemp(path)) < 0) abort();
    if (ftruncate(file, 0) || pwrite(file, data, size, 0) != (ssize_t)size) abort();
    if (weft_npy_read(path, &array) && !*weft_error()) abort(); /* an error has a text */
    if (weft_npz_read(path, &npz) && !*weft_error()) abort();
    weft_array_destroy(&array);
    weft_npz_destroy(&npz);
    return 0;
}
