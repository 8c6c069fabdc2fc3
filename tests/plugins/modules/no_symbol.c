/* A shared object that is no plugin. */
#include <weft/plugin.h>

WEFT_EXPORT extern const int something_else;
const int something_else = 1;
