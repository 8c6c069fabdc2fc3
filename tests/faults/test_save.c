/* Saving where it must fail: no such folder, a folder of the name, a disk that is full at any byte.
 * The old file stays as it was, and nothing is left beside it. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "fixture.h"

static weft_context *ctx;
static weft_model *model;
static char folder[] = "/tmp/weft_full_XXXXXX";
static char path[64];
static const char old[] = "the old file";

static void write_old(void)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(old, 1, sizeof old, file), sizeof old);
    fclose(file);
}

/* Is the old file there as it was, and nothing else? */
static void check_untouched(void)
{
    char text[64] = { 0 };
    FILE *file = fopen(path, "r");
    struct dirent *e;
    DIR *dir = opendir(folder);
    int n = 0;

    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof text, file), sizeof old);
    assert_string_equal(text, old);
    fclose(file);
    assert_non_null(dir);
    while ((e = readdir(dir))) {
        n += *e->d_name != '.';
        if (*e->d_name != '.' && strcmp(e->d_name, "m.keras"))
            fail_msg("%s was left behind", e->d_name);
    }
    closedir(dir);
    assert_int_equal(n, 1);
}

/* Saves in a process that cannot write more than so many bytes into a file. Exit code 0: saved; 1:
 * refused with a text that names the file. */
static int save_within(rlim_t bytes)
{
    pid_t child = fork();
    int status = 0;

    assert_int_not_equal(child, -1);
    if (!child) {
        struct rlimit limit = { bytes, bytes };
        weft_status st;

        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit)) _exit(9);
        st = weft_model_save(model, path);
        exit(!st ? 0 : holds_words(weft_error(), path) ? 1 : 2); /* exit: HDF5 ends by atexit */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void test_full_disk(void **state)
{
    rlim_t size = 0;
    struct stat info;

    (void)state;
    write_old();
    assert_int_equal(save_within(RLIM_INFINITY), 0);
    assert_int_equal(stat(path, &info), 0);
    size = (rlim_t)info.st_size;
    assert_true(size > 1000);
    for (rlim_t bytes = 0; bytes < size; bytes += 1 + size / 50) {
        write_old();
        assert_int_equal(save_within(bytes), 1);
        check_untouched();
    }
    write_old();
    assert_int_equal(save_within(size - 1), 1);
    check_untouched();
    assert_int_equal(save_within(size), 0);
    assert_int_equal(remove(path), 0);
}

/* What cannot be written is known before: weft_model_check_path says the same. */
static void refuse(const char *where, const char *words)
{
    assert_int_not_equal(weft_model_check_path(ctx, where), WEFT_OK);
    if (!holds_words(weft_error(), words)) fail_msg("\"%s\" lacks some of %s", weft_error(), words);
    assert_int_not_equal(weft_model_save(model, where), WEFT_OK);
    if (!holds_words(weft_error(), words)) fail_msg("\"%s\" lacks some of %s", weft_error(), words);
}

static void test_bad_paths(void **state)
{
    char where[128], name[512];

    (void)state;
    assert_int_equal(weft_model_check_path(NULL, path), WEFT_E_ARG);
    assert_int_equal(weft_model_check_path(ctx, NULL), WEFT_E_ARG);
    write_old();
    snprintf(where, sizeof where, "%s/none/m.keras", folder);
    refuse(where, "none/m.keras|cannot be written|No such file");
    snprintf(where, sizeof where, "%s/below.keras", path);
    refuse(where, "below.keras|cannot be written");
    refuse("", "extension");
    check_untouched();
    snprintf(where, sizeof where, "%s/dir.keras", folder);
    assert_int_equal(mkdir(where, 0777), 0);
    refuse(where, "dir.keras|a directory");
    assert_int_equal(rmdir(where), 0);
    assert_int_equal(mkfifo(where, 0666), 0);
    refuse(where, "dir.keras|no regular file");
    assert_int_equal(unlink(where), 0);
    assert_int_equal(symlink("/dev/null", where), 0);
    refuse(where, "dir.keras|no regular file");
    assert_int_equal(unlink(where), 0);
    snprintf(where, sizeof where, "%s/", folder);
    memset(where + strlen(where), 'a', sizeof where - strlen(where));
    snprintf(name, sizeof name, "%.100s%.100s%.100s.keras", where, where + 28, where + 28);
    refuse(name, "cannot be written|too long");
    assert_int_equal(weft_model_check_path(ctx, path), WEFT_OK);
    check_untouched();
    assert_int_equal(chmod(path, 0444), 0);
    refuse(path, "m.keras|cannot be written|read-only");
    assert_int_equal(chmod(path, 0644), 0);
    check_untouched();
    if (geteuid() != 0) { /* root may write anywhere */
        assert_int_equal(chmod(folder, 0555), 0);
        refuse(path, "m.keras|cannot be written|denied");
        assert_int_equal(chmod(folder, 0755), 0);
        check_untouched();
    }
    assert_int_equal(remove(path), 0);
}

/* A file keeps its permissions, though the format's writer makes files of its own. */
static void test_permissions(void **state)
{
    struct stat info;

    (void)state;
    write_old();
    assert_int_equal(chmod(path, 0600), 0);
    if (weft_model_save(model, path)) fail_msg("%s", weft_error());
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_true(info.st_size > 1000);
    assert_int_equal(remove(path), 0);
}

/* The file that a link names is replaced, and not the link. */
static void test_link(void **state)
{
    weft_model *read = NULL;
    char link[128];
    struct stat info;

    (void)state;
    write_old();
    snprintf(link, sizeof link, "%s/link.keras", folder);
    assert_int_equal(symlink("m.keras", link), 0);
    if (weft_model_save(model, link)) fail_msg("%s", weft_error());
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    if (weft_model_load(ctx, path, &read)) fail_msg("%s", weft_error());
    weft_model_destroy(&read);
    assert_int_equal(remove(link) + remove(path), 0);
}

static int setup(void **state)
{
    fixture f;

    (void)state;
    if (!mkdtemp(folder) || weft_context_create(NULL, &ctx) ||
        fixture_load(ctx, "models", "P05", &f))
        return -1;
    snprintf(path, sizeof path, "%s/m.keras", folder);
    model = f.model;
    f.model = NULL;
    fixture_finish(&f);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    weft_model_destroy(&model);
    weft_context_destroy(&ctx);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_full_disk),
                                        cmocka_unit_test(test_bad_paths),
                                        cmocka_unit_test(test_permissions),
                                        cmocka_unit_test(test_link) };

    return cmocka_run_group_tests(tests, setup, teardown);
}
