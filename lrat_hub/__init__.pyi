from .agent_training import SearchEnv as SearchEnv
from .agent_training import SearchEnvFactory as SearchEnvFactory
from .agent_training.conversations import conversation_of as conversation_of
from .agent_training.conversations import steps_of as steps_of
from .agents import LanguageAgent as LanguageAgent
from .agents import Question as Question
from .agents import SearchEnvironment as SearchEnvironment
from .agents import run_agents as run_agents
from .corpora.loading import load_corpus as load_corpus
from .corpora.loading import load_qrels as load_qrels
from .corpora.loading import load_queries as load_queries
from .evaluation import evaluate_agents as evaluate_agents
from .evaluation.metrics import evaluate_retrieval as evaluate_retrieval
from .fitting import TrainingRows as TrainingRows
from .fitting import fit_retriever as fit_retriever
from .fitting.settings import FitSettings as FitSettings
from .hub.refs import HubRef as HubRef
from .importers import load_trajectories as load_trajectories
from .judges import LLMJudge as LLMJudge
from .judges import RuleJudge as RuleJudge
from .localhub import LocalHub as LocalHub
from .losses import (
    CachedMultiVectorWeightedMultipleNegativesRankingLoss as CachedMultiVectorWeightedMultipleNegativesRankingLoss,
)
from .losses import CachedWeightedMultipleNegativesRankingLoss as CachedWeightedMultipleNegativesRankingLoss
from .losses import MultiVectorWeightedMultipleNegativesRankingLoss as MultiVectorWeightedMultipleNegativesRankingLoss
from .losses import WeightedBinaryCrossEntropyLoss as WeightedBinaryCrossEntropyLoss
from .losses import WeightedDistillKLDivLoss as WeightedDistillKLDivLoss
from .losses import WeightedListNetLoss as WeightedListNetLoss
from .losses import WeightedMarginMSELoss as WeightedMarginMSELoss
from .losses import WeightedMultipleNegativesRankingLoss as WeightedMultipleNegativesRankingLoss
from .mining import mine_pairs as mine_pairs
from .mining.tables import pair_table as pair_table
from .mining.weights import Weighting as Weighting
from .mining.weights import intensity_weights as intensity_weights
from .queries import QueryState as QueryState
from .queries import render_query as render_query
from .retrieval import Hit as Hit
from .retrieval.bm25 import BM25Retriever as BM25Retriever
from .retrieval.dense import DenseRetriever as DenseRetriever
from .retrieval.fusion import FusionRetriever as FusionRetriever
from .retrieval.fusion import RerankedRetriever as RerankedRetriever
from .retrieval.indexes import load_index as load_index
from .retrieval.late import LateRetriever as LateRetriever
from .retrieval.opening import open_retriever as open_retriever
from .retrieval.remote import RemoteRetriever as RemoteRetriever
from .schema import Document as Document
from .schema import Pair as Pair
from .schema import Step as Step
from .schema import Trajectory as Trajectory

__version__: str
