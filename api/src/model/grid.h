/* Tables of text as Keras prints them (the library rich, box HEAVY_HEAD with lines between rows).
 */
#ifndef WEFT_MODEL_GRID_H
#define WEFT_MODEL_GRID_H
#include "base/text.h"

enum { WEFT__MAX_COLUMNS = 5 };
typedef struct weft__grid {
    int n_columns;
    const char *const *header;
    int width[WEFT__MAX_COLUMNS]; /* of the text, without padding and lines */
    int right[WEFT__MAX_COLUMNS]; /* 1 = aligned to the right */
    char **cell;
    size_t n_cells, cap_cells; /* row by row, owned */
} weft__grid;

/* Columns that end at position[i] of a line of `line` characters. 0 = too narrow. */
int weft__grid_fit(weft__grid *table, const double *position, int line);
/* Adds the next cell; takes the text over, also when it fails. */
weft_status weft__grid_cell(weft__grid *table, weft__text *text);
void weft__grid_print(const weft__grid *table, weft__text *dst);
void weft__grid_finish(weft__grid *table);
#endif
