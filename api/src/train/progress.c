/* Keras 3's utils/progbar.py, in its colours: on a terminal a bar that is drawn over itself, which
 * is verbose=1, else what verbose=2 prints. A line that moves is cut to the terminal's width, where
 * Keras leaves the rests of wrapped lines behind. */
#define _DEFAULT_SOURCE /* struct winsize */
#include "train/progress.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "base/settings.h"

enum { BAR = 20 };
static const double interval = 0.1;

/* The COLUMNS setting, or what the terminal has if that is less. */
static int width_of(int fd)
{
    const char *setting = weft__setting("COLUMNS");
    long columns = setting ? strtol(setting, NULL, 10) : 80;
    struct winsize size = { 0 };
    if (columns < 1 || columns > 10000) columns = 80;
    if (!ioctl(fd, TIOCGWINSZ, &size) && size.ws_col && size.ws_col < columns)
        columns = size.ws_col;
    return (int)columns;
}

void weft__progress_init(weft__progress *p, FILE *file, uint32_t epochs, uint64_t steps)
{
    *p = (weft__progress){ .file = file, .epochs = epochs, .steps = steps };
    int fd = file ? fileno(file) : -1;
    p->terminal = fd >= 0 && isatty(fd);
    if (p->terminal) p->width = width_of(fd);
}

/* A line that cannot be written, or not be made, is no reason to stop a training. */
static void flush(weft__progress *p)
{
    if (!p->text.failed && p->text.n) fwrite(p->text.s, 1, p->text.n, p->file);
    fflush(p->file);
    p->text.n = 0;
}

void weft__progress_finish(weft__progress *p)
{
    if (p->file && p->shown) {
        weft__text_put(&p->text, "\n", 1);
        flush(p);
    }
    weft__text_finish(&p->text);
    *p = (weft__progress){ 0 };
}

void weft__progress_epoch(weft__progress *p, uint32_t number, double now)
{
    p->step = 0;
    p->start = p->first = now;
    p->drawn = now - interval;
    p->shown = 0;
    if (!p->file || p->epochs < 2) return;
    weft__text_add(&p->text, "Epoch %" PRIu32 "/%" PRIu32 "\n", number, p->epochs);
    flush(p);
}

void weft__progress_wait(weft__progress *p, const char *text)
{
    if (!p->file || !p->terminal) return;
    p->shown = (int)strlen(text);
    weft__text_add(&p->text, "%s", text);
    flush(p);
}

int weft__progress_step(weft__progress *p, double now)
{
    if (++p->step == 1) p->first = now;
    return p->file && p->terminal && now - p->drawn >= interval;
}

/* The first step is left out where there are more, and it is known. */
static double step_seconds(const weft__progress *p, double now)
{
    if (p->terminal && p->step > 1) return (now - p->first) / (double)(p->step - 1);
    return (now - p->start) / (double)p->step;
}

static void put_step_time(weft__text *text, double seconds)
{
    if (seconds >= 1 || seconds <= 0)
        weft__text_add(text, " %.0fs/step", seconds);
    else if (seconds >= 1e-3)
        weft__text_add(text, " %.0fms/step", seconds * 1e3);
    else
        weft__text_add(text, " %.0fus/step", seconds * 1e6);
}

/* How long it will still take: "34s", "1:02", "25:49:20". */
static void put_rest(weft__text *text, double seconds)
{
    unsigned long long s = (unsigned long long)seconds;
    if (seconds > 3600)
        weft__text_add(text, "%llu:%02llu:%02llu", s / 3600, s % 3600 / 60, s % 60);
    else if (seconds > 60)
        weft__text_add(text, "%llu:%02llu", s / 60, s % 60);
    else
        weft__text_add(text, "%llus", s);
}

static int comes_before(const char *a, const char *b)
{
    int validates = !strncmp(a, "val_", 4) - !strncmp(b, "val_", 4);
    return validates ? validates < 0 : strcmp(a, b) < 0;
}

/* By the alphabet, as Keras has them; those of the validation last. Returns how many. */
static uint32_t sort_logs(const weft_logs *logs, uint32_t order[WEFT_MAX_LOGS])
{
    uint32_t n = 0;
    for (; n < logs->n; n++) {
        uint32_t at = n;
        for (; at && comes_before(logs->name[n], logs->name[order[at - 1]]); at--)
            order[at] = order[at - 1];
        order[at] = n;
    }
    return n;
}

/* " - loss: 0.6931"; those that end within `room` characters. Returns the characters. */
static int put_logs(weft__text *text, const weft_logs *logs, int room)
{
    uint32_t order[WEFT_MAX_LOGS], n = sort_logs(logs, order);
    int shown = 0;
    for (uint32_t i = 0; i < n; i++) {
        const char *name = logs->name[order[i]];
        double value = logs->value[order[i]];
        size_t before = text->n;
        if (isnan(value)) /* printf may give it a sign */
            weft__text_add(text, " - %s: nan", name);
        else
            weft__text_add(text, fabs(value) > 1e-3 ? " - %s: %.4f" : " - %s: %.4e", name, value);
        if (text->failed) return shown;
        int more = 0;
        for (const char *c = text->s + before; *c; c++)
            more += ((unsigned char)*c & 0xC0) != 0x80; /* UTF-8 goes on */
        if (more > room - shown) {
            text->n = before;
            return shown;
        }
        shown += more;
    }
    return shown;
}

static void put_bar(weft__text *text, int from, int to, const char *colour)
{
    weft__text_add(text, "\33[%sm", colour);
    for (int i = from; i < to; i++)
        weft__text_put(text, "━", strlen("━"));
    weft__text_add(text, "\33[0m");
}

/* "10/10", the counter padded to the width of the number of steps. */
static int format_count(const weft__progress *p, char count[48])
{
    int digits = snprintf(count, 48, "%" PRIu64, p->steps);
    return snprintf(count, 48, "%*" PRIu64 "/%" PRIu64, digits, p->step, p->steps);
}

/* A line in place of the one before; the last one, after which nothing moves, is as long as it is.
 */
static void draw(weft__progress *p, const weft_logs *logs, double now, int last)
{
    weft__text *text = &p->text, time = { 0 };
    char count[48];
    double seconds = step_seconds(p, now);
    int shown = format_count(p, count), bar = BAR, full;
    if (last)
        weft__text_add(&time, "%.0fs", now - p->start);
    else
        put_rest(&time, seconds * (double)(p->steps - p->step));
    size_t bold = time.n;
    put_step_time(&time, seconds);
    if (time.failed) {
        weft__text_finish(&time);
        return;
    }
    shown += 2 + (int)time.n; /* two blanks */
    if (!last && shown + bar > p->width) bar = p->width > shown ? p->width - shown : 0;
    full = (int)((double)bar * (double)p->step / (double)p->steps);
    weft__text_add(text, "\r\33[1m%s\33[0m ", count);
    if (full) put_bar(text, 0, full, "32");
    put_bar(text, full, bar, "37");
    weft__text_add(text, " \33[1m%.*s\33[0m%s", (int)bold, time.s, time.s + bold);
    weft__text_finish(&time);
    shown += bar;
    shown += put_logs(text, logs, last ? 1 << 20 : p->width - shown);
    if (shown < p->shown) weft__text_add(text, "%*s", p->shown - shown, "");
    p->shown = shown;
}

void weft__progress_draw(weft__progress *p, const weft_logs *logs, double now)
{
    if (!p->file || !p->terminal) return;
    draw(p, logs, now, 0);
    flush(p);
    p->drawn = now;
}

void weft__progress_end(weft__progress *p, const weft_logs *logs, double now)
{
    if (!p->file) return;
    if (p->terminal)
        draw(p, logs, now, 1);
    else {
        weft__text_add(&p->text, "%" PRIu64 "/%" PRIu64 " - %.0fs -", p->step, p->steps,
                       now - p->start);
        put_step_time(&p->text, step_seconds(p, now));
        put_logs(&p->text, logs, 1 << 20);
    }
    weft__text_put(&p->text, "\n", 1);
    flush(p);
    p->shown = 0;
}
