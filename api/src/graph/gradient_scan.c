/* The gradient of loops. */
#include <weft/status.h>
#include "base/fail.h"
#include "graph/gradient.h"

weft_status weft__gradient_scan(weft__graph *graph, const weft__node *node, const weft_val *dout,
                                const uint8_t *ways, weft_val *din)
{
    (void)graph;
    (void)dout;
    (void)ways;
    (void)din;
    return weft_fail(WEFT_E_UNSUPPORTED,
                     "layer \"%s\": the gradient of loops (op %s) is not available yet; freeze the "
                     "layers in front of it",
                     node->path, node->op->name);
}
