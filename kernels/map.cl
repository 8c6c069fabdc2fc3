/* The library of elementwise functions, as the backend embeds it: put in front of map kernels and
 * of every kernel with an epilogue. No kernel, so no NDRange. */
#include "map.clh"
