/* Files: a reader sees the old file or the whole new one, and nothing is left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "base/file.h"

static char folder[] = "/tmp/weft-file-XXXXXX", path[64], link_path[64];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    umask(022);
    snprintf(path, sizeof path, "%s/a", folder);
    snprintf(link_path, sizeof link_path, "%s/link", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    unlink(link_path);
    return rmdir(folder);
}

static int count_files(void)
{
    int n = -2; /* . and .. */
    DIR *dir = opendir(folder);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void assert_holds(const char *text)
{
    FILE *stream = NULL;
    uint64_t size = 0;
    char bytes[100] = "";
    assert_int_equal(weft__file_open(path, &stream, &size), WEFT_OK);
    assert_true(size == strlen(text));
    assert_true(fread(bytes, 1, sizeof bytes - 1, stream) == size);
    assert_string_equal(bytes, text);
    fclose(stream);
}

static void write_text(const char *to, const char *text)
{
    weft__file *file = NULL;
    assert_int_equal(weft__file_create(to, &file), WEFT_OK);
    fputs(text, file->stream);
    assert_int_equal(weft__file_commit(&file), WEFT_OK);
    assert_null(file);
}

static void replaces_whole_files(void **state)
{
    weft__file *file = NULL;
    (void)state;
    write_text(path, "first");
    assert_holds("first");
    assert_int_equal(weft__file_create(path, &file), WEFT_OK);
    fputs("second", file->stream);
    fflush(file->stream);
    assert_holds("first");
    weft__file_discard(&file);
    weft__file_discard(&file);
    assert_holds("first");
    assert_int_equal(count_files(), 1);
    write_text(path, "second");
    assert_holds("second");
    assert_int_equal(symlink("a", link_path), 0);
    write_text(link_path, "third"); /* the link stays one */
    assert_holds("third");
    assert_int_equal(unlink(link_path), 0);
    assert_int_equal(count_files(), 1);
    assert_int_equal(weft__alloc_live(), 0);
}

static unsigned mode_of(const char *name)
{
    struct stat info;
    assert_int_equal(stat(name, &info), 0);
    return info.st_mode & 07777;
}

/* A file that only its owner may read stays one, whatever the umask, and while it is written. */
static void keeps_permissions(void **state)
{
    static const unsigned modes[] = { 0600, 0640, 0666, 0755, 0222 };
    weft__file *file = NULL;
    (void)state;
    unlink(path);
    write_text(path, "new");
    assert_int_equal(mode_of(path), 0644);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(weft__file_create(path, &file), WEFT_OK);
        assert_int_equal(mode_of(file->temporary), 0600);
        assert_int_equal(weft__file_commit(&file), WEFT_OK);
        assert_int_equal(mode_of(path), modes[i]);
    }
    if (geteuid() == 0) { /* others cannot give files away */
        struct stat info;
        assert_int_equal(chmod(path, 0660) | chown(path, (uid_t)-1, 1234), 0);
        assert_int_equal(weft__file_create(path, &file), WEFT_OK);
        assert_int_equal(weft__file_commit(&file), WEFT_OK);
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_gid, 1234);
        assert_int_equal(info.st_mode & 0777, 0660);
    }
    assert_int_equal(chmod(path, 0444), 0); /* also for root, as editors do */
    assert_int_equal(weft__file_create(path, &file), WEFT_E_IO);
    assert_non_null(strstr(weft_error(), "/a: cannot be written: it is read-only"));
    assert_null(file);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(count_files(), 0);
}

/* What a link names is made if it is not there; links in circles lead nowhere. */
static void follows_links(void **state)
{
    char second[64];
    weft__file *file = NULL;
    struct stat info;
    (void)state;
    unlink(path);
    snprintf(second, sizeof second, "%s/second", folder);
    assert_int_equal(symlink("second", link_path), 0);
    assert_int_equal(symlink(path, second), 0);
    write_text(link_path, "new");
    assert_holds("new");
    assert_int_equal(lstat(link_path, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(lstat(second, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(unlink(second), 0);
    assert_int_equal(symlink("link", second), 0);
    assert_int_equal(weft__file_create(link_path, &file), WEFT_E_IO);
    assert_non_null(strstr(weft_error(), "/link: cannot be written: "));
    assert_int_equal(unlink(second), 0);
    assert_int_equal(unlink(link_path), 0);
    assert_int_equal(unlink(path), 0);
}

static void refuses(void **state)
{
    weft__file *file = NULL;
    FILE *stream = NULL;
    uint64_t size;
    (void)state;
    assert_int_equal(weft__file_create(folder, &file), WEFT_E_IO);
    assert_non_null(strstr(weft_error(), "it is a directory"));
    assert_int_equal(weft__file_create("/dev/null", &file), WEFT_E_IO);
    assert_int_equal(weft__file_create("", &file), WEFT_E_ARG);
    assert_int_equal(weft__file_create("/nonexistent/a", &file), WEFT_E_NOTFOUND);
    assert_null(file);
    assert_int_equal(weft__file_open("/dev/zero", &stream, &size), WEFT_E_IO);
    assert_int_equal(weft__file_open(folder, &stream, &size), WEFT_E_IO);
    assert_non_null(strstr(weft_error(), "it is a directory"));
    assert_int_equal(weft__file_open("/nonexistent", &stream, &size), WEFT_E_NOTFOUND);
    assert_null(stream);
    assert_int_equal(weft__alloc_live(), 0);
}

/* /dev/full takes nothing: what fwrite buffered fails when it is flushed. */
static void keeps_the_old_file_on_failure(void **state)
{
    weft__file *file = NULL;
    (void)state;
    write_text(path, "old");
    assert_int_equal(weft__file_create(path, &file), WEFT_OK);
    if (!freopen("/dev/full", "wb", file->stream)) skip();
    fputs("new", file->stream);
    assert_int_equal(weft__file_commit(&file), WEFT_E_IO);
    assert_null(file);
    assert_holds("old");
    assert_int_equal(count_files(), 1);
    assert_int_equal(weft__alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaces_whole_files),
        cmocka_unit_test(keeps_permissions),
        cmocka_unit_test(follows_links),
        cmocka_unit_test(refuses),
        cmocka_unit_test(keeps_the_old_file_on_failure),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
