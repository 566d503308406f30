"""The LangChain side: conversion of messages, chunks, tools and structured output."""
