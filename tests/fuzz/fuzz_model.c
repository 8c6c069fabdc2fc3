/* Model files are hostile until read: any bytes give a model or an error, and nothing else. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weft/weft.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static weft_context *ctx;
static char path[] = "/tmp/weft_fuzz_XXXXXX";

static void start(void)
{
    int file = mkstemp(path);

    if (file < 0 || weft_context_create(NULL, &ctx)) abort();
    close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weft_model *model = NULL;
    FILE *file;

    if (!ctx) start();
    if (!(file = fopen(path, "wb"))) abort();
    fwrite(data, 1, size, file);
    fclose(file);
    if (weft_model_load(ctx, path, &model) && !*weft_error()) abort(); /* an error has a text */
    weft_model_destroy(&model);
    return 0;
}
