/* Files written safely: a reader sees the old file or the whole new one. */
#define _GNU_SOURCE
#include "base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/fail.h"

static weft_status fail_errno(const char *doing, const char *path)
{
    int error = errno;
    weft_status st = error == ENOMEM ? WEFT_E_NOMEM : error == ENOENT ? WEFT_E_NOTFOUND : WEFT_E_IO;
    return weft_fail(st, "%s: cannot be %s: %s", path, doing, strerror(error));
}

/* Where the path leads in the end: the new file must replace what a link names, not the link; what
 * it names need not be there yet. */
static weft_status resolve(const char *path, char **resolved)
{
    enum { MAX_LINKS = 40 }; /* Linux's own */
    char at[PATH_MAX], target[PATH_MAX];
    size_t len = strlen(path);
    ssize_t n;
    errno = ENAMETOOLONG;
    if (len >= sizeof at) return fail_errno("written", path);
    memcpy(at, path, len + 1);
    for (int links = 0; (n = readlink(at, target, sizeof target - 1)) >= 0; links++) {
        const char *slash = strrchr(at, '/');
        size_t folder = *target != '/' && slash ? (size_t)(slash - at) + 1 : 0;
        errno = links < MAX_LINKS ? ENAMETOOLONG : ELOOP;
        if (links >= MAX_LINKS || folder + (size_t)n >= sizeof at)
            return fail_errno("written", path);
        memcpy(at + folder, target, (size_t)n);
        at[folder + (size_t)n] = 0;
    }
    *resolved = weft__strdup(at);
    return *resolved ? WEFT_OK : WEFT_E_NOMEM;
}

/* May what is there be replaced? `name` is the user's. */
static weft_status check_old(const char *name, weft__file *f)
{
    struct stat info;
    if (stat(f->path, &info)) return WEFT_OK; /* making the file will tell */
    if (!S_ISREG(info.st_mode))
        return weft_fail(WEFT_E_IO, "%s: cannot be written: it is %s; give the name of a file",
                         name, S_ISDIR(info.st_mode) ? "a directory" : "no regular file");
    if (!(info.st_mode & 0222) || faccessat(AT_FDCWD, f->path, W_OK, AT_EACCESS))
        return weft_fail(WEFT_E_IO,
                         "%s: cannot be written: it is read-only; allow writing (chmod u+w), or "
                         "give another name",
                         name);
    f->has_old = 1;
    f->mode = info.st_mode & 0777;
    f->group = info.st_gid;
    return WEFT_OK;
}

/* O_EXCL never follows what somebody else put there. While it is written it is its owner's alone if
 * there is an old file, whose permissions it gets at the end. */
static int open_temporary(const weft__file *f, char *name, size_t size)
{
    mode_t mode = f->has_old ? 0600 : 0666;
    static atomic_uint counter;
    int fd = -1;
    for (int tries = 0; fd < 0 && tries < 100; tries++) {
        snprintf(name, size, "%s.%ld-%u.tmp", f->path, (long)getpid(),
                 atomic_fetch_add(&counter, 1));
        fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (fd < 0 && errno != EEXIST) break;
    }
    return fd;
}

weft_status weft__file_create(const char *path, weft__file **file)
{
    weft_status st;
    int fd = -1;
    weft__file *f = weft__alloc(sizeof *f);
    *file = NULL;
    if (!f) return WEFT_E_NOMEM;
    if (!path || !*path) {
        st = weft_fail(WEFT_E_ARG, "a file to write needs a name, this one is empty");
        goto out;
    }
    if ((st = resolve(path, &f->path)) || (st = check_old(path, f))) goto out;
    size_t size = strlen(f->path) + 48;
    char *name = weft__alloc(size);
    if (!name) {
        st = WEFT_E_NOMEM;
        goto out;
    }
    if ((fd = open_temporary(f, name, size)) < 0) {
        st = fail_errno("written", f->path);
        weft__free(name);
        goto out;
    }
    f->temporary = name; /* from here on discarding removes it */
    if (!(f->stream = fdopen(fd, "wb"))) {
        st = fail_errno("written", f->path);
        goto out;
    }
    fd = -1;
    *file = f;
    f = NULL;
out:
    if (fd >= 0) close(fd);
    weft__file_discard(&f);
    return st;
}

/* Makes the rename itself last; not every file system can, so a failure is no error. */
static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int n = slash ? snprintf(folder, sizeof folder, "%.*s", (int)(slash - path + 1), path) : 1;
    if (!slash) memcpy(folder, ".", 2);
    if (n < 0 || (size_t)n >= sizeof folder) return;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

/* Not every file system has permissions, so a failure is no error; but the group's are for the old
 * file's group alone. */
static void give_permissions(int fd, const weft__file *f)
{
    struct stat info;
    mode_t mode = f->mode;
    if (fstat(fd, &info) || (info.st_gid != f->group && fchown(fd, (uid_t)-1, f->group)))
        mode &= ~(mode_t)070;
    if (fchmod(fd, mode)) return;
}

weft_status weft__file_commit(weft__file **file)
{
    weft__file *f = *file;
    weft_status st = WEFT_OK;
    int fd = -1;
    if (f->stream) {
        int bad = ferror(f->stream);
        bad |= fclose(f->stream);
        f->stream = NULL;
        if (bad) {
            st = fail_errno("written", f->path);
            goto out;
        }
    }
    /* By name: the writer may have replaced the file instead of writing the stream. */
    fd = open(f->temporary, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && f->has_old) give_permissions(fd, f);
    if (fd < 0 || fsync(fd) || rename(f->temporary, f->path)) {
        st = fail_errno("written", f->path);
        goto out;
    }
    weft__free(f->temporary);
    f->temporary = NULL;
    sync_folder(f->path);
out:
    if (fd >= 0) close(fd);
    weft__file_discard(file);
    return st;
}

void weft__file_discard(weft__file **file)
{
    if (!file || !*file) return;
    weft__file *f = *file;
    if (f->stream) fclose(f->stream);
    if (f->temporary) unlink(f->temporary);
    weft__free(f->temporary);
    weft__free(f->path);
    weft__free(f);
    *file = NULL;
}

weft_status weft__file_open(const char *path, FILE **stream, uint64_t *size)
{
    struct stat info;
    *stream = NULL;
    if (!path || !*path)
        return weft_fail(WEFT_E_ARG, "a file to read needs a name, this one is empty");
    /* O_NONBLOCK: opening a pipe must not wait for its other end. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &info)) {
        weft_status st = fail_errno("read", path);
        if (fd >= 0) close(fd);
        return st;
    }
    if (!S_ISREG(info.st_mode)) {
        close(fd);
        return weft_fail(WEFT_E_IO, "%s: cannot be read: it is %s", path,
                         S_ISDIR(info.st_mode) ? "a directory" : "no regular file");
    }
    *stream = fdopen(fd, "rb");
    if (!*stream) {
        weft_status st = fail_errno("read", path);
        close(fd);
        return st;
    }
    *size = (uint64_t)info.st_size;
    return WEFT_OK;
}
