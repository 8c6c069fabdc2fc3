/* How conv and its gradients cut their matrix products into what a cache holds: points into blocks,
 * and the sum over taps and channels into pieces, gemm adding to what is there. */
#include "conv.h"

#define BLOCK_BYTES (512 * 1024)     /* about half of a second-level cache */
#define MOST_BYTES (8 * 1024 * 1024) /* of a block, unless one point has more */
#define MIN_ROWS 32
#define MAX_ROWS 512

static int64_t between(int64_t low, int64_t n, int64_t high)
{
    return n > high ? high : n < low ? low : n;
}

int64_t cpu_conv_block(const cpu_image *c, int64_t line, int64_t least)
{
    int64_t size = (int64_t)c->size;
    int64_t rows = line > 0 ? BLOCK_BYTES / size / line / 8 * 8 : MAX_ROWS;
    rows = between(MIN_ROWS, rows, MAX_ROWS);
    if (least > 0) rows = between(1, MOST_BYTES / size / least, rows);
    return between(0, rows, c->rows);
}

static int64_t pieces_of(int64_t whole, int64_t length)
{
    return (whole + length - 1) / length;
}

/* The length of equal pieces, as few as can be, none longer than `most`. */
static int64_t equal(int64_t whole, int64_t most)
{
    return pieces_of(whole, pieces_of(whole, most));
}

cpu_cut cpu_cut_of(const cpu_image *c, int64_t rows, int64_t most)
{
    cpu_cut cut = { c->taps, c->in_group, 1, 1 };
    if (c->k == 0) return cut;
    if (rows > 0) most = between(1, MOST_BYTES / (int64_t)c->size / rows, most);
    if (c->in_group > most) {
        cut.taps = 1;
        cut.channels = equal(c->in_group, most);
    } else {
        cut.taps = equal(c->taps, most / c->in_group);
    }
    cut.of_tap = pieces_of(c->in_group, cut.channels);
    cut.pieces = pieces_of(c->taps, cut.taps) * cut.of_tap;
    return cut;
}

int64_t cpu_cut_piece(const cpu_cut *cut, const cpu_image *c, int64_t number, cpu_piece *piece)
{
    piece->tap = number / cut->of_tap * cut->taps;
    piece->taps = between(0, c->taps - piece->tap, cut->taps);
    piece->channel = number % cut->of_tap * cut->channels;
    piece->channels = between(0, c->in_group - piece->channel, cut->channels);
    return piece->tap * c->in_group + piece->channel;
}

size_t cpu_conv_round(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}
