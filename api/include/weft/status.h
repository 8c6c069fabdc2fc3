/* weft/status.h - how failures are reported. Codes are those of weft/plugin.h. */
#ifndef WEFT_STATUS_H
#define WEFT_STATUS_H
#include <weft/plugin.h>
#ifdef __cplusplus
extern "C" {
#endif
/* The text of the calling thread's last failure: where, what with its values, what to do. Valid
 * until the thread's next failure; "" if there was none. Never NULL. */
WEFT_EXPORT const char *weft_error(void);
/* "ok", "shape", "device" ...; "unknown" for a code that this library does not have. [any-thread]
 */
WEFT_EXPORT const char *weft_status_name(weft_status status);
/* "float32" ... as Keras spells them. [any-thread] */
WEFT_EXPORT const char *weft_dtype_name(weft_dtype dtype);
/* Bytes of one element; 0 for an unknown dtype. [any-thread] */
WEFT_EXPORT size_t weft_dtype_size(weft_dtype dtype);
/* "0.1.0" */
WEFT_EXPORT const char *weft_version(void);
#ifdef __cplusplus
}
#endif
#endif
