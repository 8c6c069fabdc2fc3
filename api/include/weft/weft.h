/* weft/weft.h - everything a program needs. Link with -lweft. */
#ifndef WEFT_H
#define WEFT_H
#include <weft/array.h>
#include <weft/check.h>
#include <weft/context.h>
#include <weft/model.h>
#include <weft/session.h>
#include <weft/train.h>
#include <weft/status.h>
#endif
