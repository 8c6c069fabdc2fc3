/* The one place that reads the environment. Every variable is a row of one table. */
#ifndef WEFT_BASE_SETTINGS_H
#define WEFT_BASE_SETTINGS_H
/* Value of WEFT_<NAME>, given as "cache_dir" or "WEFT_CACHE_DIR"; its default if unset; NULL = no
 * such setting or no value. An empty variable counts as unset. In set-user-id programs all
 * variables do. The string is the environment's, or the thread's until it asks again: copy what
 * must last. */
const char *weft__setting(const char *name);
/* Says of each variable with a value that is not understood which value counts instead. */
void weft__settings_check(void (*say)(void *user, const char *message), void *user);
#endif
