# Databricks notebook source
print("sales of the day")
