/* What a fit prints: the lines of Keras 3. */
#ifndef WEFT_TRAIN_PROGRESS_H
#define WEFT_TRAIN_PROGRESS_H
#include <weft/train.h>
#include "base/text.h"

/* Times are seconds of a clock that only grows, and the caller's. */
typedef struct weft__progress {
    FILE *file;   /* NULL: prints nothing */
    int terminal; /* a bar that moves; else one line an epoch */
    int width;    /* of the terminal: no line that moves is longer */
    uint32_t epochs;
    uint64_t steps; /* of an epoch */
    /* of this epoch */
    uint64_t step;
    double start, first, drawn; /* first: the end of the first step, which compiles and reads */
    int shown;                  /* characters of the line that may still move */
    weft__text text;
} weft__progress;

/* Terminal or not, and how wide, by the stream and the COLUMNS setting. */
void weft__progress_init(weft__progress *progress, FILE *file, uint32_t epochs, uint64_t steps);
/* Ends a line that is not complete, after a failure; releases. */
void weft__progress_finish(weft__progress *progress);

void weft__progress_epoch(weft__progress *progress, uint32_t number, double now);
/* On a terminal: what a wait is for, until the line is drawn. */
void weft__progress_wait(weft__progress *progress, const char *text);
/* One more step is done. Nonzero: time to draw; else nobody needs the logs, which cost a wait for
 * the device. */
int weft__progress_step(weft__progress *progress, double now);
void weft__progress_draw(weft__progress *progress, const weft_logs *logs, double now);
/* The epoch's last line. */
void weft__progress_end(weft__progress *progress, const weft_logs *logs, double now);
#endif
