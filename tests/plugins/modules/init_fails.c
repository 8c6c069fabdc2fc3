/* A plugin that cannot start, and says why. */
#include <weft/plugin.h>

static weft_status init(const weft_host *host)
{
    return host->fail(host, WEFT_E_DEVICE, "the flux capacitor is missing");
}

WEFT_PLUGIN(test_init, .init = init);
