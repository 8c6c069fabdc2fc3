/* weft/window.h - where the windows of convolution and pooling lie, for plugins: Keras's padding
 * rules. One axis at a time; sizes are those of weft_spec (WEFT_ANY: not known yet). No ABI:
 * compiled in. */
#ifndef WEFT_WINDOW_H
#define WEFT_WINDOW_H
#include <string.h>
#include <weft/plugin.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct weft_window {
    int64_t size, stride, dilation, low, high;
} weft_window; /* low, high: padding */

/* floor((in + low + high - (dilation (size - 1) + 1)) / stride) + 1; WEFT_ANY for an input of
 * WEFT_ANY; below 1 if the window does not fit. */
static inline int64_t weft_window_out(const weft_window *w, int64_t in)
{
    int64_t room;
    if (in == WEFT_ANY) return WEFT_ANY;
    room = in + w->low + w->high - (w->dilation * (w->size - 1) + 1);
    return room < 0 ? 0 : room / w->stride + 1;
}

/* Sets low and high for padding "valid", "same" (the odd element goes behind) or "causal" (all in
 * front). */
static inline void weft_window_pad(weft_window *w, const char *padding, int64_t in)
{
    int64_t reach = w->dilation * (w->size - 1), out, total;
    w->low = w->high = 0;
    if (!strcmp(padding, "causal")) w->low = reach;
    if (strcmp(padding, "same") || in == WEFT_ANY) return;
    out = in ? (in - 1) / w->stride + 1 : 0;
    total = out ? (out - 1) * w->stride + reach + 1 - in : 0;
    if (total < 0) total = 0;
    w->low = total / 2;
    w->high = total - w->low;
}
#ifdef __cplusplus
}
#endif
#endif
