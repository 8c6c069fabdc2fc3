/* A plugin built against a newer header, whose structs have grown: it must be loaded. */
#include <weft/plugin.h>

static weft_status build(weft_build *b)
{
    return weft_out(b, 0, weft_in(b, 0));
}

typedef struct newer_layer {
    weft_layer_class known;
    void (*later)(void);
} newer_layer;
typedef struct newer_plugin {
    weft_plugin known;
    const void *later;
} newer_plugin;

static const newer_layer layer = {
    { sizeof layer, 0, "org.example.Newer", 1, 1, "x", "y", 0, build, 0, 0, "of a newer minor" }, 0
};
static const weft_layer_class *const layers[] = { &layer.known, 0 };

WEFT_EXPORT extern const newer_plugin weft_plugin_v1;
const newer_plugin weft_plugin_v1 = { { WEFT_MAGIC, sizeof(newer_plugin), WEFT_ABI_MAJOR,
                                        WEFT_ABI_MINOR + 1, WEFT_ABI_TAG, "test_newer",
                                        .version = "2", .layers = layers },
                                      "something that this library has never heard of" };
