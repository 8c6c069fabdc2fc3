/* "did you mean ...": the optimal string alignment distance, over three rows of a table. */
#include "base/suggest.h"
#include <string.h>

enum { LONGEST = 63 };

static int lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t weft__distance(const char *a, const char *b)
{
    size_t rows[3][LONGEST + 1], n = strlen(a), m = strlen(b);
    size_t *two_up = rows[0], *up = rows[1], *row = rows[2];
    if (n > LONGEST) n = LONGEST;
    if (m > LONGEST) m = LONGEST;
    for (size_t j = 0; j <= m; j++)
        up[j] = two_up[j] = j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            int x = lower(a[i - 1]), y = lower(b[j - 1]);
            row[j] = least(least(up[j] + 1, row[j - 1] + 1), up[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2]))
                row[j] = least(row[j], two_up[j - 2] + 1);
        }
        size_t *oldest = two_up;
        two_up = up;
        up = row;
        row = oldest;
    }
    return up[m];
}

void weft__suggest_try(weft__suggest *suggest, const char *name)
{
    size_t distance = weft__distance(suggest->wanted, name), n = strlen(suggest->wanted);
    if (distance > 1 + n / 4 || distance >= n) return;
    if (suggest->best && distance >= suggest->distance) return;
    suggest->best = name;
    suggest->distance = distance;
}
