/* Compiled programs on disk: one file a program, named by the hash of everything that went into
 * it. A file is written whole or not at all, is believed only if its size and hash are right and
 * nobody else could have written it, and is otherwise simply built again. */
#include "ocl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, LARGEST = 256 << 20 };
static const char magic[8] = { 'W', 'F', 'T', 'C', 'L', '0', '0', '1' };

typedef struct header {
    char magic[8];
    ocl_key key, content;
    uint64_t size;
} header;

/* Two FNV-1a hashes of 64 bits with different starts, the second over rotated bytes. */
void ocl_key_start(ocl_key *key)
{
    key->word[0] = 0xcbf29ce484222325u;
    key->word[1] = 0x9ae16a3b2f90404fu;
}

void ocl_key_add(ocl_key *key, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++) {
        key->word[0] = (key->word[0] ^ p[i]) * 0x100000001b3u;
        key->word[1] = (key->word[1] ^ (uint64_t)(p[i] * 0x9e3779b1u)) * 0x100000001b3u;
        key->word[1] ^= key->word[1] >> 29;
    }
}

int ocl_cache_enabled(const weft_host *host)
{
    const char *cache = host->setting ? host->setting(host, "cache") : NULL;
    const char *folder = host->setting ? host->setting(host, "cache_dir") : NULL;
    return folder && *folder && !(cache && !strcmp(cache, "0"));
}

static int file_path(const weft_host *host, const ocl_key *key, char *path)
{
    const char *folder = host->setting(host, "cache_dir");
    int n = snprintf(path, PATH_SIZE, "%s/opencl/%016llx%016llx.bin", folder,
                     (unsigned long long)key->word[0], (unsigned long long)key->word[1]);
    return n > 0 && n < PATH_SIZE;
}

static int read_all(int file, void *data, size_t n)
{
    unsigned char *p = data;
    while (n) {
        ssize_t got = read(file, p, n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return 0;
        p += got;
        n -= (size_t)got;
    }
    return 1;
}

static int write_all(int file, const void *data, size_t n)
{
    const unsigned char *p = data;
    while (n) {
        ssize_t put = write(file, p, n);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return 0;
        p += put;
        n -= (size_t)put;
    }
    return 1;
}

/* Machine code is run: only files that this user alone could write are taken. */
static int trusted(int file, uint64_t *size)
{
    struct stat info;
    if (fstat(file, &info) || !S_ISREG(info.st_mode)) return 0;
    if (info.st_uid != geteuid() || (info.st_mode & (S_IWGRP | S_IWOTH))) return 0;
    *size = (uint64_t)info.st_size;
    return 1;
}

static ocl_key content_key(const unsigned char *data, size_t size)
{
    ocl_key key;
    ocl_key_start(&key);
    ocl_key_add(&key, data, size);
    return key;
}

unsigned char *ocl_cache_load(const weft_host *host, const ocl_key *key, size_t *size)
{
    char path[PATH_SIZE];
    header head;
    uint64_t on_disk = 0;
    unsigned char *data = NULL, *result = NULL;
    if (!file_path(host, key, path)) return NULL;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0) return NULL;
    if (!trusted(file, &on_disk) || !read_all(file, &head, sizeof head)) goto out;
    if (memcmp(head.magic, magic, sizeof magic) || memcmp(&head.key, key, sizeof *key)) goto out;
    if (head.size == 0 || head.size > LARGEST || head.size != on_disk - sizeof head) goto out;
    if (!(data = ocl_alloc(host, head.size, 1)) || !read_all(file, data, head.size)) goto out;
    ocl_key content = content_key(data, head.size);
    if (memcmp(&content, &head.content, sizeof content)) goto out;
    *size = head.size;
    result = data;
    data = NULL;
out:
    ocl_free(host, data);
    close(file);
    return result;
}

/* Makes the folder of path, and those above it that are missing. */
static void make_folders(char *path)
{
    for (char *p = path + 1; *p; p++) {
        if (*p != '/') continue;
        *p = '\0';
        mkdir(path, 0700);
        *p = '/';
    }
}

void ocl_cache_store(const weft_host *host, const ocl_key *key, const unsigned char *data,
                     size_t size)
{
    char path[PATH_SIZE], temporary[PATH_SIZE + 16];
    header head = { .key = *key, .content = content_key(data, size), .size = size };
    memcpy(head.magic, magic, sizeof magic);
    if (!file_path(host, key, path)) return;
    make_folders(path);
    snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    int file = mkstemp(temporary);
    if (file < 0) return;
    int good = write_all(file, &head, sizeof head) && write_all(file, data, size);
    good = !close(file) && good;
    if (!good || rename(temporary, path)) unlink(temporary);
}
