import PageCache
import Support
import Testing

/// One rule of the protocol switched off, and what has to notice it.
struct Mutant: Sendable, CustomTestStringConvertible {
  let name: String
  let rule: SwitchedOffRules
  var testDescription: String { name }

  /// The rules that the page cache and the toy volume apply. Walks, metadata, eviction and what is told of errors belong to
  /// the file system; power cuts and failing requests show those (`CrashTests`, `SweepTests`).
  private static let others: SwitchedOffRules = [
    .walkComparison, .lateMetadataCopy, .evictorFrees, .ofDurability, .failedMetadataStaysDirty, .errorIsTold,
    .errorIsToldOnce, .failureGivesBack, .cleanOnlyWhenWritten, .changeMarksAgain, .evictionIsTriedAgain,
    .failureIsReportedOnce, .failedPageWaits, .corruptionStopsWrites, .cookieHasAllBits, .lateWritesCount,
    .orderedFreesWait, .spaceIsWaitedFor, .freedIsForgotten, .detachInOneStep, .tailIsZeroed, .sizeIsTakenAnew,
    .bitsCountFromFirstBlock, .shortLinkHasNoBlocks, .lastGroupEnds, .pointersAreChecked,
    .changeEndsIndex, .entryHasType, .unmountWrites, .openTruncates, .failedMountLetsGo, .sharedFailureIsTold,
    .oneWriteABlock, .blockIsTriedOnce, .statusIsEncoded, .directoryGrows, .sharersAreCounted, .oneLinkAName,
    .fsyncCountsFirst, .syncCountsFirst, .newInodeIsCleared, .freedNamesAreForgotten, .newAttributesAreDirty,
    .readAgainIsUnsynced, .zeroedTailIsDirty, .filledHoleIsShape, .ancestorIsLockedFirst, .freezeWaits,
    .encodingChecksLife, .cancellationEndsWrite, .cancellationEndsAllocation,
  ]
  static let all: [Mutant] = SwitchedOffRules.all
    .filter { !others.contains($0.rule) }
    .map { Mutant(name: $0.name, rule: $0.rule) }
}

@Suite("Mutants of the writeback protocol")
struct MutantTests {
  @Test("a storm or a script notices when a rule is switched off", arguments: Mutant.all)
  func isKilled(_ mutant: Mutant) {
    let reason: StaticString = "what a volume without the rule holds, or waits for, for ever"
    if let script = MutantScript.all.first(where: { $0.rule == mutant.rule }) {
      for seed in UInt64(0)..<8 { #expect(simulate(script.options, seed: seed, script.body) == [], "seed \(seed)") }
      let options = script.options.with { $0.switchedOff = mutant.rule }
      for seed in UInt64(0)..<8 {
        if let first = leaving(reason, { simulate(options, seed: seed, script.body).first }) {
          print("mutant | \(mutant.name) | seed \(seed) | \(first)")
          return
        }
      }
      Issue.record("no script notices \(mutant.name)")
      return
    }
    for seed in UInt64(0)..<3_000 {
      if let first = leaving(reason, { ToyStorm(seed: seed, switchedOff: mutant.rule).run().failures.first }) {
        print("mutant | \(mutant.name) | seed \(seed) | \(first)")
        return
      }
    }
    Issue.record("no test notices \(mutant.name)")
  }
}
