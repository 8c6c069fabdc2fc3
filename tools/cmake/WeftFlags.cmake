# Compiler flags of the whole project: C11 without extensions, the warnings, sanitizers.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_COMPILE_WARNING_AS_ERROR ${WEFT_WERROR})
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug or Release" FORCE)
endif()

add_compile_definitions(_POSIX_C_SOURCE=200809L)
add_compile_options(
  -Wall -Wextra -Wpedantic -Wshadow -Wvla
  $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>)
# gcc finds uninitialised variables by its optimiser: at -O1, and under sanitizers, it is often wrong.
if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND (WEFT_SANITIZE OR CMAKE_BUILD_TYPE STREQUAL "Debug"))
  add_compile_options($<$<COMPILE_LANGUAGE:C>:-Wno-maybe-uninitialized>)
endif()
if(WEFT_NATIVE)
  add_compile_options(-march=native)
endif()

if(WEFT_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "WEFT_FUZZ needs clang: configure with -DCMAKE_C_COMPILER=clang.")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(WEFT_SANITIZE)
  add_compile_options(-fsanitize=${WEFT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${WEFT_SANITIZE})
endif()

# What a plugin is linked with, so that a symbol it should not import fails the build. clang's
# sanitizers leave their own symbols to the program, so not then.
set(WEFT_NO_UNDEFINED -Wl,-z,defs)
if(WEFT_SANITIZE AND CMAKE_C_COMPILER_ID MATCHES "Clang" OR WEFT_FUZZ)
  set(WEFT_NO_UNDEFINED "")
endif()
