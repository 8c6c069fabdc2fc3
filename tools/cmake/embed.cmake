# Script: writes ${OUT}.c and ${OUT}.h, the bytes of ${FOLDER}/${STEM}.cl with its includes of
# kernels/*.clh put in place, each once. #line keeps the compiler's messages pointing at the files.
cmake_minimum_required(VERSION 3.24)

function(read_kernel file result)
  get_property(seen GLOBAL PROPERTY SEEN)
  if(file IN_LIST seen)
    set(${result} "" PARENT_SCOPE)
    return()
  endif()
  set_property(GLOBAL APPEND PROPERTY SEEN "${file}")
  if(NOT EXISTS "${FOLDER}/${file}")
    message(FATAL_ERROR "kernels/${STEM}.cl: there is no kernels/${file} to include.")
  endif()
  file(READ "${FOLDER}/${file}" rest)
  set(text "#line 1 \"${file}\"\n")
  set(line 1)
  while(TRUE)
    string(REGEX MATCH "(^|\n)[ \t]*#[ \t]*include[ \t]*\"([^\"\n]+)\"[^\n]*" found "${rest}")
    if(found STREQUAL "")
      break()
    endif()
    set(included "${CMAKE_MATCH_2}")
    set(newline "${CMAKE_MATCH_1}")
    string(FIND "${rest}" "${found}" at)
    string(SUBSTRING "${rest}" 0 ${at} before)
    string(LENGTH "${found}" length)
    math(EXPR after "${at} + ${length}")
    string(SUBSTRING "${rest}" ${after} -1 rest)
    string(REGEX MATCHALL "\n" newlines "${before}${newline}")
    list(LENGTH newlines n)
    math(EXPR line "${line} + ${n}")
    read_kernel("${included}" inner)
    # What follows begins with the newline that ended the include line.
    math(EXPR next "${line} + 1")
    string(APPEND text "${before}${newline}${inner}#line ${next} \"${file}\"")
  endwhile()
  set(${result} "${text}${rest}" PARENT_SCOPE)
endfunction()

read_kernel("${STEM}.cl" text)
file(WRITE "${OUT}.tmp" "${text}")
file(SIZE "${OUT}.tmp" size)
file(READ "${OUT}.tmp" hex HEX)
file(REMOVE "${OUT}.tmp")
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")

set(symbol "weft_cl_${STEM}")
string(TOUPPER "${symbol}_H" guard)
file(WRITE "${OUT}.h" "/* Made from kernels/${STEM}.cl: its OpenCL C as bytes. */
#ifndef ${guard}
#define ${guard}
extern const unsigned char ${symbol}[];     /* ends with a NUL */
extern const unsigned long ${symbol}_size;  /* without the NUL */
#endif
")
file(WRITE "${OUT}.c" "/* Made from kernels/${STEM}.cl: its OpenCL C as bytes. */
#include \"kernels/${STEM}.cl.h\"
const unsigned char ${symbol}[] = {
${bytes}
0x00 };
const unsigned long ${symbol}_size = ${size}UL;
")
