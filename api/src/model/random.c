/* Philox4x32-10 and the distributions that initializers draw from it. Word 3 of the counter tells
 * the distributions apart, word 2 counts redraws, words 0 and 1 are the block. */
#include "model/random.h"
#include <math.h>

enum { UNIFORM = 1, NORMAL, TRUNCATED };

static void philox_round(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t c1 = c[1], c3 = c[3];
    c[0] = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c[1] = (uint32_t)p1;
    c[2] = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c[3] = (uint32_t)p0;
}

void weft__philox(uint64_t key, const uint32_t counter[4], uint32_t result[4])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int i = 0; i < 4; i++)
        result[i] = counter[i];
    for (int i = 0; i < 10; i++) {
        philox_round(result, k0, k1);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* FNV-1a of the name, then the finaliser of SplitMix64 over both. */
uint64_t weft__stream_key(uint64_t seed, const char *name)
{
    uint64_t h = 14695981039346656037u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 1099511628211u;
    h += (seed + 1) * 0x9E3779B97F4A7C15u;
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9u;
    h = (h ^ (h >> 27)) * 0x94D049BB133111EBu;
    return h ^ (h >> 31);
}

static void draw(uint64_t key, uint64_t block, uint32_t attempt, uint32_t kind, uint32_t words[4])
{
    uint32_t counter[4] = { (uint32_t)block, (uint32_t)(block >> 32), attempt, kind };
    weft__philox(key, counter, words);
}

/* Normal number k (0..3) of four random words: the pairs (0, 1) and (2, 3) by Box-Muller. */
static double box_muller(const uint32_t words[4], unsigned k)
{
    const double tau = 6.283185307179586476925;
    double u = ((double)words[k & 2] + 1.0) * 0x1p-32, v = (double)words[(k & 2) + 1] * 0x1p-32;
    double radius = sqrt(-2.0 * log(u));
    return k & 1 ? radius * sin(tau * v) : radius * cos(tau * v);
}

double weft__random_uniform(uint64_t key, uint64_t i)
{
    uint32_t words[4];
    draw(key, i / 4, 0, UNIFORM, words);
    return (double)(words[i % 4] >> 8) * 0x1p-24;
}

double weft__random_normal(uint64_t key, uint64_t i)
{
    uint32_t words[4];
    draw(key, i / 4, 0, NORMAL, words);
    return box_muller(words, (unsigned)(i % 4));
}

double weft__random_truncated(uint64_t key, uint64_t i)
{
    for (uint32_t attempt = 0;; attempt++) {
        uint32_t words[4];
        draw(key, i, attempt, TRUNCATED, words);
        for (unsigned k = 0; k < 4; k++) {
            double z = box_muller(words, k);
            if (fabs(z) < 2.0) return z;
        }
    }
}
