/* The lines of a fit against those of Keras 3.15's Progbar for the same steps at the same times
 * (its backspaces left out, which a carriage return makes needless). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "train/progress.h"

typedef struct printed {
    weft__progress p;
    FILE *file;
    char *text;
    size_t n;
} printed;

static void start(printed *t, int width, uint32_t epochs, uint64_t steps)
{
    *t = (printed){ .text = NULL };
    t->file = open_memstream(&t->text, &t->n);
    assert_non_null(t->file);
    weft__progress_init(&t->p, t->file, epochs, steps);
    assert_false(t->p.terminal);
    t->p.terminal = width > 0;
    t->p.width = width;
    weft__progress_epoch(&t->p, 1, 100);
}

static void finish(printed *t, const char *expected)
{
    weft__progress_finish(&t->p);
    fclose(t->file);
    assert_string_equal(t->text, expected);
    free(t->text);
}

/* Not in the order in which they are shown. */
static weft_logs logs_of(double accuracy, double loss)
{
    return (weft_logs){ .n = 2, .name = { "loss", "accuracy" }, .value = { loss, accuracy } };
}

/* Steps up to `step`, all at that time; 1 if the last one was drawn. */
static int reach(printed *t, uint64_t step, double time, double accuracy, double loss)
{
    weft_logs logs = logs_of(accuracy, loss);
    while (t->p.step + 1 < step)
        weft__progress_step(&t->p, 100 + time);
    if (!weft__progress_step(&t->p, 100 + time)) return 0;
    weft__progress_draw(&t->p, &logs, 100 + time);
    return 1;
}

static weft_logs validated(void)
{
    weft_logs logs = logs_of(.98765, .00034);
    logs.n = 4;
    strcpy(logs.name[2], "val_loss");
    strcpy(logs.name[3], "val_accuracy");
    logs.value[2] = -(double)NAN;
    logs.value[3] = 1;
    return logs;
}

/* Gone with the first line that is drawn; nothing of it where nothing moves. */
static void waits(void **state)
{
    weft_logs logs = logs_of(.5, .25);
    printed t;
    (void)state;
    start(&t, 16, 1, 10);
    weft__progress_wait(&t.p, "compiling for a while ..");
    weft__progress_step(&t.p, 102);
    weft__progress_draw(&t.p, &logs, 102);
    finish(&t, "compiling for a while .."
               "\r\33[1m 1/10\33[0m \33[37m\33[0m \33[1m18s\33[0m 2s/step      \n");
    start(&t, 0, 1, 10);
    weft__progress_wait(&t.p, "compiling ..");
    finish(&t, "");
}

static void moves(void **state)
{
    weft_logs last = validated();
    printed t;
    (void)state;
    start(&t, 200, 5, 10);
    assert_true(reach(&t, 1, 2.0, .5, .6931));
    assert_false(reach(&t, 2, 2.04, .5, .65));
    assert_true(reach(&t, 5, 3.0, .55, .6));
    assert_true(reach(&t, 6, 3.11, .5, .5));
    assert_true(reach(&t, 7, 70, 1e-3, 12.34567));
    assert_true(reach(&t, 10, 90, .98765, .00034));
    weft__progress_end(&t.p, &last, 191);
    finish(&t, "Epoch 1/5\n"
               "\r\33[1m 1/10\33[0m \33[32m━━\33[0m\33[37m━━━━━━━━━━━━━━━━━━\33[0m \33[1m18s\33[0m "
               "2s/step - accuracy: 0.5000 - loss: 0.6931"
               "\r\33[1m 5/10\33[0m \33[32m━━━━━━━━━━\33[0m\33[37m━━━━━━━━━━\33[0m \33[1m1s\33[0m "
               "250ms/step - accuracy: 0.5500 - loss: 0.6000"
               "\r\33[1m 6/10\33[0m \33[32m━━━━━━━━━━━━\33[0m\33[37m━━━━━━━━\33[0m \33[1m0s\33[0m "
               "222ms/step - accuracy: 0.5000 - loss: 0.5000"
               "\r\33[1m 7/10\33[0m \33[32m━━━━━━━━━━━━━━\33[0m\33[37m━━━━━━\33[0m \33[1m34s\33[0m "
               "11s/step - accuracy: 1.0000e-03 - loss: 12.3457"
               "\r\33[1m10/10\33[0m \33[32m━━━━━━━━━━━━━━━━━━━━\33[0m\33[37m\33[0m \33[1m0s\33[0m "
               "10s/step - accuracy: 0.9877 - loss: 3.4000e-04  "
               "\r\33[1m10/10\33[0m \33[32m━━━━━━━━━━━━━━━━━━━━\33[0m\33[37m\33[0m \33[1m91s\33[0m "
               "10s/step - accuracy: 0.9877 - loss: 3.4000e-04 - val_accuracy: 1.0000 - "
               "val_loss: nan\n");
}

static void hours_and_microseconds(void **state)
{
    weft_logs last = logs_of(.5, .6931);
    printed t;
    (void)state;
    start(&t, 200, 2, 1000);
    reach(&t, 1, 20, .5, .6931);
    assert_false(reach(&t, 3, 20.0005, .5, .65));
    reach(&t, 4, 300, .5, .65);
    finish(&t, "Epoch 1/2\n"
               "\r\33[1m   1/1000\33[0m \33[37m━━━━━━━━━━━━━━━━━━━━\33[0m \33[1m5:33:00\33[0m "
               "20s/step - accuracy: 0.5000 - loss: 0.6931"
               "\r\33[1m   4/1000\33[0m \33[37m━━━━━━━━━━━━━━━━━━━━\33[0m \33[1m25:49:20\33[0m "
               "93s/step - accuracy: 0.5000 - loss: 0.6500\n");

    start(&t, 200, 1, 1); /* one epoch has no title */
    assert_true(reach(&t, 1, .0004, .5, .6931));
    weft__progress_end(&t.p, &last, 100.06);
    finish(&t, "\r\33[1m1/1\33[0m \33[32m━━━━━━━━━━━━━━━━━━━━\33[0m\33[37m\33[0m \33[1m0s\33[0m "
               "400us/step - accuracy: 0.5000 - loss: 0.6931"
               "\r\33[1m1/1\33[0m \33[32m━━━━━━━━━━━━━━━━━━━━\33[0m\33[37m\33[0m \33[1m0s\33[0m "
               "60ms/step - accuracy: 0.5000 - loss: 0.6931 \n");
}

/* Not on a terminal: Keras's verbose=2, and nobody has to read the logs of a step. */
static void lines(void **state)
{
    weft_logs last = validated();
    printed t;
    (void)state;
    start(&t, 0, 5, 10);
    assert_false(reach(&t, 1, 2.0, .5, .6931));
    assert_false(reach(&t, 10, 90, .5, .6931));
    weft__progress_draw(&t.p, &last, 190);
    weft__progress_end(&t.p, &last, 191);
    weft__progress_epoch(&t.p, 2, 200);
    assert_false(reach(&t, 10, 100.1, .5, .6931));
    last = logs_of(.25, 1);
    weft__progress_end(&t.p, &last, 200.25);
    finish(&t, "Epoch 1/5\n"
               "10/10 - 91s - 9s/step - accuracy: 0.9877 - loss: 3.4000e-04 - val_accuracy: 1.0000 "
               "- val_loss: nan\n"
               "Epoch 2/5\n"
               "10/10 - 0s - 25ms/step - accuracy: 0.2500 - loss: 1.0000\n");
}

/* Characters that a terminal shows of the longest line in text. */
static int widest(const char *text)
{
    int widest = 0, n = 0;
    for (; *text; text++) {
        if (*text == '\r' || *text == '\n') n = 0;
        if (*text == '\33')
            text = strchr(text, 'm');
        else if ((unsigned char)*text >= ' ' && ((unsigned char)*text & 0xC0) != 0x80)
            n++;
        if (n > widest) widest = n;
    }
    return widest;
}

static void no_wider_than_the_terminal(void **state)
{
    weft_logs last = logs_of(.5, .6931);
    (void)state;
    for (int width = 25; width < 90; width++) {
        printed t;
        start(&t, width, 1, 10);
        reach(&t, 1, 2.0, .5, .6931);
        reach(&t, 7, 70, 1e-3, 12.34567);
        reach(&t, 10, 90, .5, .5);
        fflush(t.file);
        assert_in_range(widest(t.text), width < 38 ? width : 38, width);
        /* Whole values only, and all of them where there is room. */
        assert_int_equal(!!strstr(t.text, "accuracy: 0.5000"), width >= 38 + 19);
        assert_int_equal(!!strstr(t.text, "loss: 0.6931"), width >= 38 + 19 + 15);
        weft__progress_end(&t.p, &last, 191); /* the line that stays is complete */
        fflush(t.file);
        assert_non_null(strstr(t.text, "10s/step - accuracy: 0.5000 - loss: 0.6931"));
        weft__progress_finish(&t.p);
        fclose(t.file);
        free(t.text);
    }
}

static void silent(void **state)
{
    weft_logs logs = logs_of(0, 0);
    weft__progress p;
    (void)state;
    weft__progress_init(&p, NULL, 2, 10);
    weft__progress_epoch(&p, 1, 100);
    assert_false(weft__progress_step(&p, 105));
    weft__progress_draw(&p, &logs, 105);
    weft__progress_end(&p, &logs, 105);
    weft__progress_finish(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits),
        cmocka_unit_test(moves),
        cmocka_unit_test(hours_and_microseconds),
        cmocka_unit_test(lines),
        cmocka_unit_test(no_wider_than_the_terminal),
        cmocka_unit_test(silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
