/* Training in C: a network with two inputs, the same as in first.c but smaller, learns to tell
 * which of its images are bright where its table says so; then it is saved for Keras. */
#include <stdio.h>
#include <weft/weft.h>

enum { SAMPLES = 256, SIDE = 8, COLUMNS = 2 };

/* Numbers from 0 to 1, the same in every run. */
static float next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / (1 << 24);
}

/* Images are dark or bright; the table's second column is 1 where a dark one is wanted. */
static void make_samples(float *image, float *table, float *score)
{
    uint32_t state = 1;

    for (int i = 0; i < SAMPLES; i++) {
        float bright = next(&state) > 0.5f, wanted = next(&state) > 0.5f;

        for (int k = 0; k < SIDE * SIDE; k++)
            image[i * SIDE * SIDE + k] = 0.5f * bright + 0.5f * next(&state);
        table[i * COLUMNS] = next(&state);
        table[i * COLUMNS + 1] = wanted;
        score[i] = bright != wanted;
    }
}

static weft_status make_model(weft_context *ctx, weft_model **made)
{
    weft_status st = weft_model_create(ctx, "combined", made);

    if (st) return st;
    weft_model *m = *made;
    weft_model_set_seed(m, 1);
    weft_tensor image = weft_input(m, "image", WEFT_F32, WEFT_SHAPE(SIDE, SIDE, 1));
    weft_tensor table = weft_input(m, "table", WEFT_F32, WEFT_SHAPE(COLUMNS));
    weft_tensor a = weft_apply(m, "Conv2D", "filters=4 kernel_size=3 activation=relu", image);

    a = weft_apply(m, "GlobalAveragePooling2D", NULL, a);
    a = weft_apply(m, "Concatenate", NULL, a, table);
    a = weft_apply(m, "Dense", "units=16 activation=relu", a);
    weft_output(m, weft_apply(m, "Dense", "name=score units=1 activation=sigmoid", a));
    return weft_model_finish(m);
}

int main(void)
{
    static float image[SAMPLES * SIDE * SIDE], table[SAMPLES * COLUMNS], score[SAMPLES];
    const weft_array images = { { WEFT_F32, 4, { SAMPLES, SIDE, SIDE, 1 } }, image };
    const weft_array tables = { { WEFT_F32, 2, { SAMPLES, COLUMNS } }, table };
    const weft_array scores = { { WEFT_F32, 2, { SAMPLES, 1 } }, score };
    const weft_array *x[] = { &images, &tables }, *y[] = { &scores };
    weft_data data = { .x = x, .n_x = 2, .y = y, .n_y = 1 };
    weft_fit_options options = { .epochs = 30, .validation_split = 0.25, .progress = stdout };
    weft_context *ctx = NULL;
    weft_model *m = NULL;
    weft_session *s = NULL;
    weft_logs logs;
    weft_status st;

    make_samples(image, table, score);
    if ((st = weft_context_create(NULL, &ctx))) goto out;
    if ((st = make_model(ctx, &m))) goto out;
    if ((st = weft_session_create(m, "best", NULL, &s))) goto out;
    if ((st = weft_session_compile(s, "optimizer=Adam(learning_rate=0.02) "
                                      "loss=binary_crossentropy metrics=accuracy")))
        goto out;
    if ((st = weft_session_fit(s, &data, &options, NULL))) goto out;
    if ((st = weft_session_evaluate(s, &data, 0, &logs))) goto out;
    for (uint32_t i = 0; i < logs.n; i++)
        printf("%s %.4f\n", logs.name[i], logs.value[i]);
    st = weft_model_save(m, "combined.keras"); /* Keras opens it */
out:
    if (st) fprintf(stderr, "%s\n", weft_error());
    weft_session_destroy(&s);
    weft_model_destroy(&m);
    weft_context_destroy(&ctx);
    return st != WEFT_OK;
}
