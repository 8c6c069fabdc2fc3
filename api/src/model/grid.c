/* Tables of text as Keras prints them. Long cells wrap at spaces; a word that is longer than its
 * column ends in an ellipsis. Widths are those of a terminal: wide characters take two. */
#include "model/grid.h"
#include <math.h>
#include <string.h>
#include "base/alloc.h"

/* What rich does: every column gets its share plus two for padding; what is then too much for the
 * line, with its n + 1 verticals, is taken from the columns in turn, rounding half to even. */
int weft__grid_fit(weft__grid *table, const double *position, int line)
{
    int used = 0, n = table->n_columns, over = 3 * n + 1;
    for (int i = 0; i < n; i++) {
        table->width[i] = (int)(position[i] * line) - used;
        if (table->width[i] < 4) return 0;
        used += table->width[i];
    }
    over += used - line;
    for (int i = 0; i < n; i++) {
        int less = (int)nearbyint((double)over / (n - i));
        table->width[i] -= less;
        over -= less;
        if (table->width[i] < 1) return 0;
    }
    return 1;
}

weft_status weft__grid_cell(weft__grid *table, weft__text *text)
{
    char *s = text->failed ? NULL : text->s ? weft__text_take(text) : weft__strdup("");
    weft__text_finish(text);
    if (!s || weft__grow(&table->cell, table->n_cells, &table->cap_cells, sizeof(char *))) {
        weft__free(s);
        return WEFT_E_NOMEM;
    }
    table->cell[table->n_cells++] = s;
    return WEFT_OK;
}

void weft__grid_finish(weft__grid *table)
{
    for (size_t i = 0; i < table->n_cells; i++)
        weft__free(table->cell[i]);
    weft__free(table->cell);
}

static int is_start(char c)
{
    return ((unsigned char)c & 0xC0) != 0x80;
}

/* The code point at s, whose first byte is a start; broken UTF-8 gives some number, and no more. */
static uint32_t code_point(const char *s, size_t n)
{
    unsigned char first = (unsigned char)*s;
    uint32_t c = first < 0x80 ? first : first & (first < 0xE0 ? 0x1F : first < 0xF0 ? 0x0F : 0x07);
    for (size_t i = 1; i < n && !is_start(s[i]); i++)
        c = c << 6 | ((unsigned char)s[i] & 0x3F);
    return c;
}

/* Columns of a terminal: East Asian wide characters and emoji take two, combining ones none (the
 * main ranges of Unicode's EastAsianWidth and of its general category Mn). */
static int cells_of(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } wide[] = { { 0x1100, 0x115F },   { 0x2E80, 0x303E },   { 0x3041, 0xA4CF },
                 { 0xA960, 0xA97F },   { 0xAC00, 0xD7A3 },   { 0xF900, 0xFAFF },
                 { 0xFE30, 0xFE6F },   { 0xFF01, 0xFF60 },   { 0xFFE0, 0xFFE6 },
                 { 0x1F300, 0x1F64F }, { 0x1F900, 0x1F9FF }, { 0x20000, 0x3FFFD } };
    if ((c >= 0x0300 && c <= 0x036F) || (c >= 0x200B && c <= 0x200F)) return 0;
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        if (c >= wide[i].first && c <= wide[i].last) return 2;
    return 1;
}

static int cells(const char *s, size_t n)
{
    int count = 0;
    for (size_t i = 0; i < n; i++)
        if (is_start(s[i])) count += cells_of(code_point(s + i, n - i));
    return count;
}

static size_t spaces(const char *s)
{
    return strspn(s, " ");
}
static size_t letters(const char *s)
{
    return strcspn(s, " ");
}

/* Bytes of the next line of `s` in a column of that width; what follows starts a new line. */
static size_t next_line(const char *s, int width)
{
    size_t at = 0;
    int used = 0;
    while (s[at]) {
        size_t lead = at == 0 ? spaces(s) : 0, word = lead + letters(s + at + lead),
               all = word + spaces(s + at + word);
        int fits = used + cells(s + at, word) <= width;
        if (!fits && at > 0) break;
        used += cells(s + at, all);
        at += all;
    }
    return at;
}

/* One line of a cell: cut with an ellipsis, padded. */
static void print_line(weft__text *dst, const char *s, size_t n, int width, int right)
{
    while (n > 0 && s[n - 1] == ' ')
        n--;
    int count = cells(s, n);
    if (count > width) {
        size_t keep = 0;
        for (count = 0; keep < n; keep++) {
            int more = is_start(s[keep]) ? cells_of(code_point(s + keep, n - keep)) : 0;
            if (count + more > width - 1) break;
            count += more;
        }
        weft__text_put(dst, s, keep);
        weft__text_add(dst, "%*s…", width - 1 - count, "");
        return;
    }
    if (right) weft__text_add(dst, "%*s", width - count, "");
    weft__text_put(dst, s, n);
    if (!right) weft__text_add(dst, "%*s", width - count, "");
}

static int n_lines(const char *s, int width)
{
    int n = 0;
    do {
        s += next_line(s, width);
        n++;
    } while (*s);
    return n;
}

/* bar: the vertical. A header stands at the bottom of its row, other cells at the top. */
static void print_row(const weft__grid *table, const char *const *cell, const char *bar, int bottom,
                      weft__text *dst)
{
    const char *rest[WEFT__MAX_COLUMNS];
    int lines[WEFT__MAX_COLUMNS], most = 1, n = table->n_columns;
    for (int i = 0; i < n; i++) {
        rest[i] = cell[i];
        lines[i] = n_lines(cell[i], table->width[i]);
        if (lines[i] > most) most = lines[i];
    }
    for (int line = 0; line < most; line++) {
        for (int i = 0; i < n; i++) {
            size_t len = bottom && line < most - lines[i] ? 0 : next_line(rest[i], table->width[i]);
            weft__text_add(dst, "%s ", bar);
            print_line(dst, rest[i], len, table->width[i], table->right[i]);
            weft__text_put(dst, " ", 1);
            rest[i] += len;
        }
        weft__text_add(dst, "%s\n", bar);
    }
}

/* parts: left, line, between, right. */
static void print_rule(const weft__grid *table, const char *const parts[4], weft__text *dst)
{
    for (int i = 0; i < table->n_columns; i++) {
        weft__text_add(dst, "%s", i ? parts[2] : parts[0]);
        for (int k = 0; k < table->width[i] + 2; k++)
            weft__text_put(dst, parts[1], strlen(parts[1]));
    }
    weft__text_add(dst, "%s\n", parts[3]);
}

void weft__grid_print(const weft__grid *table, weft__text *dst)
{
    static const char *const top[4] = { "┏", "━", "┳", "┓" },
                             *const below[4] = { "┡", "━", "╇", "┩" },
                             *const rule[4] = { "├", "─", "┼", "┤" },
                             *const end[4] = { "└", "─", "┴", "┘" };
    size_t n = (size_t)table->n_columns;
    print_rule(table, top, dst);
    print_row(table, table->header, "┃", 1, dst);
    print_rule(table, below, dst);
    for (size_t i = 0; i + n <= table->n_cells; i += n) {
        if (i) print_rule(table, rule, dst);
        print_row(table, (const char *const *)&table->cell[i], "│", 0, dst);
    }
    print_rule(table, end, dst);
}
