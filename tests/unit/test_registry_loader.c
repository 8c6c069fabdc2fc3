/* The loader: what is loaded, what is refused and with which words, in which order, by whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "registry/registry.h"

/* Stand-ins for what the graph room and CMake give. */
static weft_status lower(weft_build *b)
{
    (void)b;
    return WEFT_OK;
}
static const weft_op_class core_op = {
    .struct_size = sizeof core_op, .name = "identity", .inputs = "x", .outputs = "y", .lower = lower
};
const weft_op_class *const weft__core_ops[] = { &core_op, NULL };
static const weft_plugin builtin = { WEFT_PLUGIN_HEAD, "test_builtin", .version = "3" };
const weft_plugin *const weft__builtin_plugins[] = { &builtin, NULL };
static const int extension_data = 7;
const weft_ext weft__host_extensions[] = { { "test.extension/1", &extension_data }, { 0 } };

static char folder[] = "/tmp/weft-loader-XXXXXX";

static void put(const char *module, const char *name)
{
    char command[1024];
    snprintf(command, sizeof command, "cp '%s/%s.so' '%s/%s'", WEFT_TEST_MODULES, module, folder,
             name);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "%s/%s", folder, name);
    assert_int_equal(chmod(command, 0644), 0);
}

static int setup(void **state)
{
    (void)state;
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    unsetenv("WEFT_PLUGIN_PATH");
    unsetenv("WEFT_DISABLE");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    chmod(folder, 0700);
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static weft_context *open_folder(const char *more)
{
    char options[256];
    weft_context *ctx = NULL;
    snprintf(options, sizeof options, "plugin_path=\"%s\" %s", folder, more);
    assert_int_equal(weft_context_create(options, &ctx), WEFT_OK);
    return ctx;
}

/* The entry whose path ends in name. */
static weft_plugin_info entry(const weft_context *ctx, const char *name)
{
    weft_plugin_info info;
    for (uint32_t i = 0; i < weft_context_n_plugins(ctx); i++) {
        assert_int_equal(weft_context_plugin(ctx, i, &info), WEFT_OK);
        size_t n = strlen(info.path), m = strlen(name);
        if (n >= m && !strcmp(info.path + n - m, name)) return info;
    }
    fail_msg("no entry for %s", name);
    return info;
}

static void assert_refused(const weft_context *ctx, const char *name, const char *words)
{
    weft_plugin_info info = entry(ctx, name);
    assert_false(info.loaded);
    assert_null(info.plugin);
    if (!strstr(info.reason, words)) fail_msg("%s: \"%s\" lacks \"%s\"", name, info.reason, words);
}

static void assert_loaded(const weft_context *ctx, const char *name)
{
    weft_plugin_info info = entry(ctx, name);
    if (!info.loaded) fail_msg("%s: %s", name, info.reason);
    assert_string_equal(info.reason, "");
    assert_non_null(info.plugin);
}

static void loads_good_plugins(void **state)
{
    (void)state;
    put("good", "good.so");
    put("newer_minor", "newer_minor.so");
    weft_context *ctx = open_folder("");
    assert_loaded(ctx, "built in");
    assert_loaded(ctx, "good.so");
    assert_loaded(ctx, "newer_minor.so");
    assert_string_equal(entry(ctx, "newer_minor.so").version, "2");
    assert_string_equal(entry(ctx, "good.so").version, "");
    const weft_layer_class *good = weft_context_layer_class(ctx, "org.example.Good");
    assert_non_null(good);
    assert_ptr_equal(good, weft_context_layer_class(ctx, "Good"));
    assert_null(weft_context_layer_class(ctx, "good"));
    assert_ptr_equal(weft_context_op_class(ctx, "identity"), &core_op);
    assert_null(weft_context_op_class(ctx, NULL));
    weft_context_destroy(&ctx);
    assert_null(ctx);
}

/* Touching a page that the file no longer has would end the process. */
static void refuses_cut_plugins(void **state)
{
    char path[128];
    (void)state;
    put("good", "cut.so");
    snprintf(path, sizeof path, "%s/cut.so", folder);
    assert_int_equal(truncate(path, 4096), 0);
    weft_context *ctx = open_folder("");
    assert_refused(ctx, "cut.so", "is cut off");
    weft_context_destroy(&ctx);
}

static void refuses_with_reasons(void **state)
{
    static const char *const all[] = { "bad_abi",      "bad_magic",        "no_symbol",
                                       "other_symbol", "undefined_symbol", "needs",
                                       "incomplete",   "bad_schema",       "init_fails" };
    char path[128];
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        snprintf(path, sizeof path, "%s.so", all[i]);
        put(all[i], path);
    }
    put("good", "not-a-module.txt");
    put("good", ".hidden.so");
    snprintf(path, sizeof path, "%s/junk.so", folder);
    FILE *junk = fopen(path, "w");
    assert_non_null(junk);
    fputs("this is no shared object", junk);
    fclose(junk);
    chmod(path, 0644);
    snprintf(path, sizeof path, "%s/dir.so", folder);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "%s/dangling.so", folder);
    assert_int_equal(symlink("/nonexistent/x.so", path), 0);

    weft_context *ctx = open_folder("");
    assert_refused(ctx, "bad_abi.so", "was built for plugin ABI 8.3");
    assert_refused(ctx, "bad_magic.so", "12345678");
    assert_refused(ctx, "no_symbol.so", "exports no weft_plugin_v1");
    assert_refused(ctx, "other_symbol.so", "exports weft_plugin_v2");
    assert_refused(ctx, "undefined_symbol.so", "test_function_that_nobody_has");
    assert_refused(ctx, "needs.so", "time_travel/2.0");
    assert_refused(ctx, "incomplete.so", "layer class org.example.Incomplete has no build()");
    assert_refused(ctx, "bad_schema.so", "size must be all at least 1");
    assert_refused(ctx, "init_fails.so", "flux capacitor");
    assert_refused(ctx, "junk.so", "cannot be loaded: file too short");
    assert_refused(ctx, "dir.so", "is no regular file");
    assert_refused(ctx, "dangling.so", "leads nowhere");
    assert_int_equal(weft_context_n_plugins(ctx), 1 + 9 + 3);
    assert_null(weft_context_layer_class(ctx, "org.example.Incomplete"));

    assert_int_equal(weft__fail_no_layer_class(ctx, "Godo"), WEFT_E_NOTFOUND);
    assert_non_null(strstr(weft_error(), "no layer class \"Godo\""));
    assert_non_null(strstr(weft_error(), "and 4 more"));
    weft_context_destroy(&ctx);
}

static void suggests_names(void **state)
{
    (void)state;
    put("good", "good.so");
    weft_context *ctx = open_folder("");
    assert_int_equal(weft__fail_no_layer_class(ctx, "Godo"), WEFT_E_NOTFOUND);
    assert_non_null(strstr(weft_error(), "did you mean \"Good\"?"));
    assert_int_equal(weft__fail_no_op(ctx, "identitty"), WEFT_E_NOTFOUND);
    assert_non_null(strstr(weft_error(), "did you mean \"identity\"?"));
    weft_context_destroy(&ctx);
}

static void count_messages(void *user, weft_log_level level, const char *message)
{
    char *all = user;
    assert_int_equal(level, WEFT_LOG_WARN);
    strncat(all, message, 900 - strlen(all));
}

static void earlier_class_wins(void **state)
{
    char messages[1024] = "";
    (void)state;
    put("same_layer", "a.so");
    put("good", "b.so");
    weft_context *ctx = open_folder("");
    assert_loaded(ctx, "a.so");
    assert_loaded(ctx, "b.so");
    assert_int_equal(weft_context_layer_class(ctx, "Good")->version, 9);
    weft_context_log(ctx, WEFT_LOG_WARN, count_messages, messages);
    assert_non_null(
        strstr(messages, "layer class org.example.Good of plugin test_good is not used"));
    messages[0] = 0;
    const weft_host *host = weft__context_host(ctx);
    host->log(host, WEFT_LOG_WARN, "hello");
    host->log(host, WEFT_LOG_DEBUG, "not this");
    assert_string_equal(messages, "hello");
    weft_context_log(ctx, WEFT_LOG_WARN, NULL, NULL);
    host->log(host, WEFT_LOG_WARN, "nobody");
    assert_string_equal(messages, "hello");

    const weft_op_class *op = weft_context_op_class(ctx, "shift");
    assert_non_null(op);
    const weft_attr *attrs = weft__op_attrs(ctx, op);
    assert_string_equal(attrs[0].name, "axis");
    assert_string_equal(attrs[1].name, "then");
    assert_null(attrs[2].name);
    assert_ptr_equal(weft__op_attrs(ctx, &core_op), core_op.attrs);
    weft_context_destroy(&ctx);
}

static void collect_messages(void *user, weft_log_level level, const char *message)
{
    char *all = user;
    strncat(all, level == WEFT_LOG_WARN ? "W " : "D ", 2);
    strncat(all, message, 900 - strlen(all));
}

/* Who names a directory hears of what is wrong in it, but not of what they switched off. */
static void tells_of_refused_files(void **state)
{
    char messages[1024] = "";
    weft__text text = { 0 };
    (void)state;
    put("bad_abi", "libwobble.so");
    put("good", "good.so");
    put("no_symbol", "off.so");
    setenv("WEFT_DISABLE", "off", 1);
    weft_context *ctx = open_folder("");
    weft_context_log(ctx, WEFT_LOG_WARN, collect_messages, messages);
    assert_non_null(strstr(messages, "W plugin /tmp/weft-loader-"));
    assert_non_null(strstr(messages, "/libwobble.so is refused: was built for plugin ABI 8.3"));
    assert_null(strstr(messages, "off.so"));
    messages[0] = 0;
    weft_context_log(ctx, WEFT_LOG_DEBUG, collect_messages, messages);
    assert_non_null(strstr(messages, "D plugin /tmp/weft-loader-"));
    assert_non_null(strstr(messages, "/off.so is refused: is switched off"));

    weft__tell_refused(ctx, "; ", &text);
    assert_string_equal(text.s, "; 1 plugin file was refused; `weft plugins` says why");
    weft__text_finish(&text);
    weft__tell_refused_like(ctx, "org.example.Wobble", &text);
    assert_non_null(strstr(text.s, "; the plugin /tmp/weft-loader-"));
    assert_non_null(strstr(text.s, "/libwobble.so is refused: was built for plugin ABI 8.3"));
    weft__text_finish(&text);
    weft__tell_refused_like(ctx, "LSTM", &text);
    assert_null(text.s);
    weft_context_destroy(&ctx);
}

static void dedupes_files_and_names(void **state)
{
    char path[128];
    (void)state;
    put("good", "a.so");
    put("good", "copy.so");
    snprintf(path, sizeof path, "%s/link.so", folder);
    assert_int_equal(symlink("a.so", path), 0);
    weft_context *ctx = open_folder(""), *second = open_folder("");
    assert_loaded(ctx, "a.so");
    assert_refused(ctx, "link.so", "is the same file as");
    assert_refused(ctx, "copy.so", "a plugin named test_good is loaded already");
    /* Another context uses what the process has open. */
    assert_ptr_equal(entry(ctx, "a.so").plugin, entry(second, "a.so").plugin);
    weft_context_destroy(&ctx);
    assert_non_null(weft_context_layer_class(second, "Good")->build);
    weft_context_destroy(&second);
}

static void refuses_untrusted(void **state)
{
    char path[128];
    (void)state;
    put("good", "a.so");
    put("newer_minor", "b.so");
    snprintf(path, sizeof path, "%s/a.so", folder);
    assert_int_equal(chmod(path, 0666), 0);
    weft_context *ctx = open_folder("");
    assert_refused(ctx, "a.so", "can be written by everyone (mode 0666); run: chmod o-w '");
    assert_loaded(ctx, "b.so");
    weft_context_destroy(&ctx);

    ctx = open_folder("trust=true");
    assert_loaded(ctx, "a.so");
    weft_context_destroy(&ctx);

    assert_int_equal(chmod(folder, 0777), 0);
    ctx = open_folder("");
    assert_refused(ctx, folder,
                   "can be written by everyone (mode 0777); run: chmod o-w '/tmp/weft-loader");
    assert_null(weft_context_layer_class(ctx, "Good"));
    weft_context_destroy(&ctx);
    if (geteuid() == 0) { /* only root can give files away */
        assert_int_equal(chmod(folder, 0755), 0);
        assert_int_equal(chmod(path, 0644), 0);
        assert_int_equal(chown(path, 12345, 0), 0);
        ctx = open_folder("");
        assert_refused(ctx, "a.so",
                       "belongs to user 12345, neither to root nor to you; run: sudo chown 0 '");
        weft_context_destroy(&ctx);
    }
}

static void searches_paths(void **state)
{
    weft_context *ctx = NULL;
    char path[256];
    (void)state;
    put("good", "a.so");
    snprintf(path, sizeof path, "::/nonexistent:%s/a.so:", folder);
    setenv("WEFT_PLUGIN_PATH", path, 1);
    assert_int_equal(chdir(folder), 0); /* never searched by itself */
    assert_int_equal(weft_context_create(NULL, &ctx), WEFT_OK);
    assert_refused(ctx, "/nonexistent", "cannot be searched for plugins: No such file");
    assert_loaded(ctx, "a.so");
    assert_int_equal(weft_context_n_plugins(ctx), 3);
    weft_context_destroy(&ctx);
    setenv("WEFT_DISABLE", "opencl,a", 1);
    assert_int_equal(weft_context_create(NULL, &ctx), WEFT_OK);
    assert_refused(ctx, "a.so", "switched off by WEFT_DISABLE");
    weft_context_destroy(&ctx);
    setenv("WEFT_DISABLE", "test_good", 1);
    assert_int_equal(weft_context_create(NULL, &ctx), WEFT_OK);
    assert_refused(ctx, "a.so", "switched off by WEFT_DISABLE");
    weft_context_destroy(&ctx);
    assert_int_equal(chdir("/"), 0);
}

static void reports_bad_options(void **state)
{
    weft_context *ctx = NULL;
    (void)state;
    assert_int_equal(weft_context_create("plugin_pth=\"x\"", &ctx), WEFT_E_ATTR);
    assert_non_null(strstr(weft_error(), "did you mean \"plugin_path\"?"));
    assert_null(ctx);
    assert_int_equal(weft_context_create(NULL, NULL), WEFT_E_ARG);
    weft_plugin_info info;
    assert_int_equal(weft_context_plugin(NULL, 0, &info), WEFT_E_ARG);
    weft_context_destroy(&ctx);
    weft_context_destroy(NULL);
}

static void survives_failing_allocations(void **state)
{
    char options[128];
    (void)state;
    put("same_layer", "a.so");
    put("good", "b.so");
    put("bad_abi", "c.so");
    put("init_fails", "d.so");
    weft_context *ctx = open_folder("");
    weft_context_destroy(&ctx);
    size_t before = weft__alloc_live();
    snprintf(options, sizeof options, "plugin_path=\"%s\"", folder);
    weft_status st = WEFT_E_NOMEM;
    uint64_t n = 0;
    while (st && n < 10000) {
        weft__alloc_fail_at(++n);
        st = weft_context_create(options, &ctx);
        weft__alloc_fail_at(0);
        if (st) {
            assert_int_equal(st, WEFT_E_NOMEM);
            assert_null(ctx);
            assert_non_null(strstr(weft_error(), "out of memory"));
        }
        if (!st && weft_context_n_plugins(ctx) != 5) fail_msg("an allocation failed in silence");
        weft_context_destroy(&ctx);
        assert_int_equal(weft__alloc_live(), before);
    }
    assert_true(n > 20);
}

static void *create_in_thread(void *options)
{
    weft_context *ctx = NULL;
    weft_status st = weft_context_create(options, &ctx);
    void *good = st ? NULL : (void *)(uintptr_t)weft_context_layer_class(ctx, "Good");
    weft_context_destroy(&ctx);
    return good;
}

static void loads_from_many_threads(void **state)
{
    pthread_t thread[8];
    char options[128];
    void *first = NULL, *result;
    (void)state;
    put("good", "a.so");
    snprintf(options, sizeof options, "plugin_path=\"%s\"", folder);
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, create_in_thread, options), 0);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(thread[i], &result), 0);
        assert_non_null(result);
        if (!first) first = result;
        assert_ptr_equal(result, first);
    }
}

static void hosts_extensions_and_holders(void **state)
{
    (void)state;
    weft_context *ctx = open_folder("");
    weft_context *held = weft__context_ref(ctx);
    weft_context_destroy(&ctx);
    const weft_host *host = weft__context_host(held);
    assert_ptr_equal(host->extension(host, "test.extension/1"), &extension_data);
    assert_null(host->extension(host, "test.extension/2"));
    assert_string_equal(host->version, weft_version());
    void *memory = host->alloc(host, 100, 256);
    assert_int_equal((uintptr_t)memory % 256, 0);
    host->release(host, memory);
    weft_context_destroy(&held);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(loads_good_plugins),
        T(refuses_cut_plugins),
        T(refuses_with_reasons),
        T(suggests_names),
        T(earlier_class_wins),
        T(dedupes_files_and_names),
        T(refuses_untrusted),
        T(searches_paths),
        T(reports_bad_options),
        T(survives_failing_allocations),
        T(tells_of_refused_files),
        T(loads_from_many_threads),
        T(hosts_extensions_and_holders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
